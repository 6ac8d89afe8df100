import FlotillaWire
import Testing

@testable import FlotillaConsensus

@Suite struct QuorumTests {
    @Test func `a majority is more than half`() {
        #expect((1...7).map { Quorum.size(voters: $0) } == [1, 2, 2, 3, 3, 4, 4])
    }

    @Test func `what a majority has reached is the highest index that so many have`() {
        var random = SplitMix64(seed: 3)
        for _ in 0..<2_000 {
            let count = Int.random(in: 1...15, using: &random)
            let matches = (0..<count).map { _ in LogIndex(UInt64.random(in: 0...9, using: &random)) }
            let expected = (0...9).reversed().first { index in
                matches.filter { $0 >= LogIndex(UInt64(index)) }.count > count / 2
            }
            var scratch = matches
            #expect(Int(Quorum.reached(&scratch).rawValue) == expected)
        }
    }

    @Test func `without voters nothing is reached`() {
        var none: [LogIndex] = []
        #expect(Quorum.reached(&none) == .zero)
    }
}
