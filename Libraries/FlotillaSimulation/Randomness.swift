import FlotillaConsensus

/// The source of all chance in a world: a generator for each part of it, so that a part that draws once more does not
/// shift the luck of all others.
package struct Randomness {
    private var generator: SplitMix64

    /// The chance that a seed determines.
    package init(seed: UInt64) { generator = SplitMix64(seed: seed) }

    /// The chance of one part of the world, told from the others by its name and number.
    package static func of(_ part: StaticString, _ number: Int = 0, seed: UInt64) -> Randomness {
        var hash = seed ^ 0x9e37_79b9_7f4a_7c15
        part.withUTF8Buffer { for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 } }
        var generator = SplitMix64(seed: hash &+ UInt64(truncatingIfNeeded: number) &* 0xd6e8_feb8_6659_fd93)
        return Randomness(seed: generator.next())
    }

    /// 64 random bits.
    package mutating func bits() -> UInt64 { generator.next() }

    /// A number in a range.
    package mutating func number(_ range: ClosedRange<Int>) -> Int {
        let width = UInt64(range.upperBound - range.lowerBound) + 1
        return range.lowerBound + Int(generator.next() % width)
    }

    /// A duration in a range of nanoseconds.
    package mutating func time(_ range: ClosedRange<UInt64>) -> UInt64 {
        let width = range.upperBound - range.lowerBound
        return range.lowerBound + (width == 0 ? 0 : generator.next() % (width + 1))
    }

    /// Whether something happens that happens so many times in a thousand.
    package mutating func chance(perMille: Int) -> Bool { number(0...999) < perMille }

    /// One of some things.
    package mutating func pick<Thing>(_ things: [Thing]) -> Thing { things[number(0...(things.count - 1))] }
}
