import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// How the write-ahead log gets on, as the kernel sees it: how long something has been waiting to become durable while
/// nothing did, and how many of the last writes took too long.
///
/// What counts is that the disk gets something done, not how much is queued: a backlog that moves is load, not a stall.
struct DiskWatch {
    /// The writes of some time.
    private struct Window {
        var writes = 0
        var slow = 0
    }

    /// How long a window is. Two of them are looked at, so that a slow write counts for one to two of these.
    private static let windowLength = Duration.seconds(5)

    /// How many records the log was handed, and with how many of them it is done.
    private var handedOver: UInt64 = 0
    private var settled: UInt64 = 0
    private var batches: UInt64 = 0
    /// Since when records wait without the log having got anything done; `nil` while none wait.
    private var waitingSince: Instant?

    /// When the log said last that there is no room; `nil` while there is some.
    private var noRoomAt: Instant?

    private var window = Window()
    private var windowBefore = Window()
    private var windowStart: Instant

    /// Whether the servers know that nothing becomes durable at the moment.
    var isStalled = false
    /// Since when the disk is too slow for leaders; `nil` while it is not.
    private(set) var slowSince: Instant?
    /// The longest that nothing became durable in that time.
    private(set) var longestWait = Duration.zero
    /// Whether the node was told to end because of its disk.
    var hasGivenUp = false

    init(now: Instant) { windowStart = now }

    /// Records leave for the log.
    mutating func handOver(_ count: Int, at now: Instant) {
        guard count > 0 else { return }
        handedOver += UInt64(count)
        if waitingSince == nil { waitingSince = now }
    }

    /// The log has got something done.
    ///
    /// - Parameter limit: a write that took longer than this is a slow one.
    mutating func completed(_ status: WALStatus, at now: Instant, limit: Duration) {
        if status.batches > batches {
            let wait = waited(until: now)
            window.writes += 1
            if wait > limit { window.slow += 1 }
            longestWait = max(longestWait, wait)
        }
        noRoomAt = status.diskFull ? now : nil
        batches = status.batches
        settled = max(settled, status.settled)
        waitingSince = settled < handedOver ? now : nil
    }

    /// The process stood still: what waited then did not wait for the disk, as far as anybody can tell.
    mutating func restart(at now: Instant) {
        if waitingSince != nil { waitingSince = now }
        if noRoomAt != nil { noRoomAt = now }
    }

    /// How long nothing has become durable though something waits for it. A disk that is full is not one that stalls, as
    /// long as it says again and again that it is.
    func waited(until now: Instant) -> Duration {
        if let noRoomAt { return max(.zero, now - noRoomAt - Self.roomInterval) }
        return waitingSince.map { now - $0 } ?? .zero
    }

    /// How often the log tries whether there is room again.
    private static let roomInterval = Duration.nanoseconds(Int64(WriteAheadLog.retryNanoseconds))

    /// The writes that were looked at last, and how many of them were slow.
    var recent: (writes: Int, slow: Int) {
        (window.writes + windowBefore.writes, window.slow + windowBefore.slow)
    }

    /// Whether of the last writes more than one in a hundred was slow. A single one says nothing.
    private var isSlow: Bool { recent.slow >= 2 && recent.slow * 100 > recent.writes }

    /// Takes stock.
    ///
    /// - Returns: whether the disk has become too slow for leaders, or is not any more; `nil` when nothing has changed.
    mutating func judge(at now: Instant, limit: Duration) -> Bool? {
        if now - windowStart >= Self.windowLength {
            // After a long silence of this process both are old.
            windowBefore = now - windowStart < Self.windowLength * 2 ? window : Window()
            window = Window()
            windowStart = now
        }
        let wait = waited(until: now)
        let isTooSlow = wait > limit || isSlow
        if isTooSlow { longestWait = max(longestWait, wait) }
        guard isTooSlow != (slowSince != nil) else { return nil }
        if isTooSlow {
            slowSince = now
            longestWait = wait
        } else {
            slowSince = nil
        }
        return isTooSlow
    }
}

/// The last attempt of a leader to leave its place to another because of its node's disk.
struct HandOver {
    var term: Term
    var target: ServerUID
    var at: Instant
    /// Whether its end is still to come.
    var isUnderWay = true
}
