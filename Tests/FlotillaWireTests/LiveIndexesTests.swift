import FlotillaWire
import NIOCore
import Testing

@Suite struct LiveIndexesTests {
    private func indexes(_ numbers: [UInt64]) -> LiveIndexes { LiveIndexes(numbers.map { LogIndex($0) }) }

    private func decoded(_ pieces: [ByteBuffer]) throws -> LiveIndexes {
        var result = LiveIndexes()
        for piece in pieces { try result.append(encoded: piece) }
        return result
    }

    @Test func `they ascend without repetition, however they come`() {
        let live = indexes([9, 3, 9, 1, 3, 7])
        #expect(live.ascending.map(\.rawValue) == [1, 3, 7, 9])
        #expect(live.contains(7) && !live.contains(8) && !live.contains(10))
        #expect(live.within(2, through: 7).map(\.rawValue) == [3, 7])
        #expect(live.within(4, through: 6).isEmpty && live.within(8, through: 2).isEmpty)
        #expect(live.last == 9)
        #expect(LiveIndexes().isEmpty && LiveIndexes().encodedPieces().isEmpty)
    }

    @Test(arguments: [1, 2, 65_535, 65_536, 65_537, 200_000])
    func `what is encoded is read again`(count: Int) throws {
        var generator = SeededGenerator(seed: UInt64(count))
        var index: UInt64 = 0
        let live = indexes(
            (0..<count).map { _ in
                index +=
                    1 + UInt64.random(in: 0..<(1 << UInt64.random(in: 1...20, using: &generator)), using: &generator)
                return index
            })
        #expect(try decoded(live.encodedPieces()) == live)
    }

    @Test func `pieces out of order, cut or lying are refused`() throws {
        let pieces = indexes((1...70_000).map { UInt64($0) }).encodedPieces()
        #expect(throws: WireError.self) { try decoded(pieces.reversed()) }
        #expect(throws: WireError.self) { try decoded([pieces[0], pieces[0]]) }
        let piece = indexes([5, 300, 70_000]).encodedPieces()[0]
        for length in 0..<piece.readableBytes {
            #expect(throws: WireError.self) { try decoded([piece.getSlice(at: 0, length: length) ?? ByteBuffer()]) }
        }
        var longer = piece
        longer.writeInteger(UInt8(0))
        #expect(throws: WireError.self) { try decoded([longer]) }
        var lying = piece
        lying.setInteger(UInt32.max, at: 0, endianness: .little)
        #expect(throws: WireError.self) { try decoded([lying]) }
    }
}
