import FlotillaConsensus

/// The clocks of one machine: a monotonic one that may go too fast or too slow, and a wall clock that may jump.
package struct MachineClock {
    /// How many thousandths of a true second it counts in a true second.
    package private(set) var rate: UInt64 = 1_000
    private var origin: UInt64 = 0
    private var base: UInt64
    private let first: UInt64
    /// How far the wall clock is off, in nanoseconds.
    package var wallOffset: Int64 = 0

    /// The wall clock of a world begins in the middle of November 2026.
    private static let beginning: UInt64 = 1_794_700_000_000_000_000

    /// A right clock that shows `base` when the world begins.
    package init(base: UInt64) {
        self.base = base
        first = base
    }

    /// What the monotonic clock shows at a true time.
    package func monotonic(at time: UInt64) -> Instant {
        Instant(nanoseconds: base + (time - origin) * rate / 1_000)
    }

    /// The first true time, not before `now`, at which the monotonic clock shows `instant` or more.
    package func time(of instant: Instant, now: UInt64) -> UInt64 {
        guard instant.nanoseconds > base else { return now }
        let (product, overflow) = (instant.nanoseconds - base).multipliedReportingOverflow(by: 1_000)
        guard !overflow else { return .max }
        return max(now, origin + (product + rate - 1) / rate)
    }

    /// What the wall clock shows at a true time, in nanoseconds since 1970.
    package func wall(at time: UInt64) -> UInt64 {
        UInt64(Int64(Self.beginning + (monotonic(at: time).nanoseconds - first)) + wallOffset)
    }

    /// Goes at another rate from a time on.
    package mutating func setRate(_ newRate: UInt64, at time: UInt64) {
        base = monotonic(at: time).nanoseconds
        origin = time
        rate = newRate
    }
}
