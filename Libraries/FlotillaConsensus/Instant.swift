/// A point on a monotonic clock that the caller reads; the core has no clock of its own.
public struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Nanoseconds since an arbitrary start that is the same for every call.
    public var nanoseconds: UInt64

    /// The instant with this number.
    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The start of the clock.
    @inlinable
    public static var zero: Instant { Instant(nanoseconds: 0) }

    /// Orders by time.
    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `duration` later; a negative duration counts as none, and the sum stops at the end of the clock.
    @inlinable
    public static func + (left: Instant, duration: Duration) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// How much later `left` is than `right`; zero when it is earlier.
    @inlinable
    public static func - (left: Instant, right: Instant) -> Duration {
        let difference = left.nanoseconds > right.nanoseconds ? left.nanoseconds - right.nanoseconds : 0
        return .nanoseconds(Int64(clamping: difference))
    }

    /// The number, with its unit.
    public var description: String { "\(nanoseconds) ns" }
}

extension Duration {
    /// The duration in whole nanoseconds: zero when it is negative, at most `UInt64.max`.
    @inlinable
    public var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, carried) = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return carried ? .max : sum
    }
}
