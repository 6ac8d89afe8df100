/// A small generator of random numbers that a seed determines (Steele, Lea and Flood 2014). Each server has its own,
/// so that a run can be repeated from its seeds. Not for secrets.
public struct SplitMix64: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    /// The generator that this seed starts.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A duration from `range`, its start included, its end not unless both are the same.
    mutating func duration(in range: ClosedRange<Duration>) -> Duration {
        let lower = range.lowerBound.wholeNanoseconds
        let upper = range.upperBound.wholeNanoseconds
        guard upper > lower else { return range.lowerBound }
        return .nanoseconds(Int64(clamping: lower + next() % (upper - lower)))
    }
}
