import FlotillaConsensus

/// Decides from signs of life whether another node is suspected to be down.
///
/// The limit adapts: it is the mean time between signs of life plus eight mean deviations, within a floor and a
/// ceiling, so that a slow or busy link is given more time than a quick one (in the manner of TCP's retransmission
/// timer, RFC 6298, and of accrual detectors).
struct FailureDetector {
    private let floor: UInt64
    private let ceiling: UInt64
    private var lastSign: Instant
    private var mean: UInt64
    private var deviation: UInt64

    init(floor: Duration, ceiling: Duration, interval: Duration, now: Instant) {
        self.floor = floor.wholeNanoseconds
        self.ceiling = max(ceiling, floor).wholeNanoseconds
        lastSign = now
        mean = interval.wholeNanoseconds
        deviation = interval.wholeNanoseconds / 2
    }

    /// The silence that is put up with, in nanoseconds.
    var limit: UInt64 { min(max(mean &+ 8 &* deviation, floor), ceiling) }

    /// Any whole frame is a sign of life; only answers to pings come regularly enough to learn from.
    mutating func heard(at now: Instant, isRegular: Bool) {
        let interval = now > lastSign ? now.nanoseconds - lastSign.nanoseconds : 0
        lastSign = max(lastSign, now)
        guard isRegular else { return }
        let difference = interval > mean ? interval - mean : mean - interval
        deviation = (3 * deviation + difference) / 4
        mean = (7 * mean + interval) / 8
    }

    /// Forgives the silence until now: after this process itself was stopped, others only seem silent.
    mutating func forgive(at now: Instant) { lastSign = max(lastSign, now) }

    /// Whether the silence is so long that the connection is better made anew.
    func isHopeless(at now: Instant) -> Bool {
        now > lastSign && now.nanoseconds - lastSign.nanoseconds > 2 &* ceiling
    }

    /// Whether the silence is longer than is put up with.
    func suspects(at now: Instant) -> Bool {
        now > lastSign && now.nanoseconds - lastSign.nanoseconds > limit
    }
}
