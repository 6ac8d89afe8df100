import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct KeyValueSnapshotTests {
    private func filled(_ count: Int, keyBytes: Int = 8) -> Runner {
        let runner = Runner()
        for number in 0..<count {
            let digits = String(number * 7_919 % count)
            let key = String(repeating: "0", count: keyBytes - digits.count) + digits
            _ = runner.put(key, "value \(number)")
        }
        return runner
    }

    /// A piece with keys, made by hand.
    private func piece(_ keys: [(key: [UInt8], index: UInt64, length: UInt32)], count: UInt32? = nil) -> ByteBuffer {
        var piece = ByteBuffer(bytes: [1])
        piece.writeLittle(count ?? UInt32(keys.count))
        for key in keys {
            piece.writeLittle(key.index)
            piece.writeLittle(key.length)
            piece.writeLittle(UInt32(key.key.count))
            piece.writeBytes(key.key)
        }
        return piece
    }

    private func lastPiece(count: UInt64, bytes: UInt64) -> ByteBuffer {
        var piece = ByteBuffer(bytes: [2])
        piece.writeLittle(count)
        piece.writeLittle(bytes)
        return piece
    }

    private func refuses(_ pieces: [ByteBuffer], _ code: WireError.Code = .malformed) {
        #expect {
            try restored(pieces, as: KeyValue.self)
        } throws: {
            ($0 as? WireError)?.code == code
        }
    }

    @Test("The form of a snapshot is the one that is written in the files of today")
    func form() throws {
        let runner = Runner()
        #expect(try pieces(of: runner.machine.snapshot()) == [lastPiece(count: 0, bytes: 0)])
        _ = runner.put("b", "one")
        _ = runner.put("a", "")
        _ = runner.put("b", "three")
        let expected = [
            piece([(Array("a".utf8), 2, 0), (Array("b".utf8), 3, 5)]), lastPiece(count: 2, bytes: 7),
        ]
        #expect(try pieces(of: runner.machine.snapshot()) == expected)
        #expect(
            expected[0].readableBytesView.prefix(23).elementsEqual(
                [1, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x61, 3]))
    }

    @Test("Pieces are as long as they should be, and together hold every key", arguments: [8, 1_000, 4_096])
    func pieceLengths(keyBytes: Int) throws {
        let runner = filled(keyBytes == 8 ? 24_000 : 900, keyBytes: keyBytes)
        let all = try pieces(of: runner.machine.snapshot())
        #expect(all.count > 3)
        #expect(all.allSatisfy { $0.readableBytes <= StateSnapshot.pieceBytes })
        for piece in all.dropLast(2) { #expect(piece.readableBytes > StateSnapshot.pieceBytes - keyBytes - 17) }
        let copy = Runner(try restored(all), log: runner.log)
        #expect(copy.listing(prefix: [], limit: 0) == runner.listing(prefix: [], limit: 0))
        #expect(copy.machine.overview == runner.machine.overview)
        // What is restored can be frozen again, and equal states give equal pieces.
        #expect(try pieces(of: copy.machine.snapshot()) == all)
    }

    @Test("A snapshot goes through once, and a machine can be frozen again")
    func once() throws {
        let runner = filled(10)
        let snapshot = try #require(runner.machine.snapshot())
        #expect(try pieces(of: snapshot).count == 2)
        #expect(try snapshot.next() == nil)
        #expect(snapshot.liveIndexes() == LiveIndexes((1...10).map { LogIndex($0) }))
        #expect(try pieces(of: runner.machine.snapshot()).count == 2)
    }

    @Test("Whatever is missing of a snapshot is noticed")
    func missingPieces() throws {
        let all = try pieces(of: filled(900, keyBytes: 1_000).machine.snapshot())
        for position in all.indices {
            var some = all
            some.remove(at: position)
            #expect(throws: WireError.self) { try restored(some, as: KeyValue.self) }
            refuses(Array(all[...position]) + all[position...])
        }
        refuses([], .truncated)
        refuses(all + [all[0]])
        refuses(all + [lastPiece(count: 900, bytes: 0)])
        refuses([all[1], all[0]] + all[2...])
    }

    @Test("A piece that is cut anywhere is refused")
    func cuts() throws {
        for whole in try pieces(of: filled(20).machine.snapshot()) {
            for length in 0..<whole.readableBytes {
                var machine = KeyValue()
                let cut = try #require(whole.getSlice(at: 0, length: length))
                #expect(throws: WireError.self) { try machine.restore(cut) }
            }
        }
    }

    @Test("A piece with flipped bits is refused or restored to something, never more")
    func mutations() throws {
        let all = try pieces(of: filled(20).machine.snapshot())
        var generator = SeededGenerator(seed: 17)
        var refused = 0
        for _ in 0..<3_000 {
            var mutated = all
            let piece = Int.random(in: 0..<all.count, using: &generator)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let position = Int.random(in: 0..<all[piece].readableBytes, using: &generator)
                let byte = UInt8.random(in: 0...255, using: &generator)
                mutated[piece].setInteger(byte, at: position)
            }
            do {
                let machine: KeyValue = try restored(mutated)
                // What is accepted is a state like any other.
                #expect(try pieces(of: machine.snapshot()) == mutated)
            } catch is WireError { refused += 1 }
        }
        #expect(refused > 750)
    }

    @Test("Keys, indexes and lengths that can't be are refused")
    func impossible() throws {
        let key = Array("k".utf8)
        func isAccepted(_ keys: [(key: [UInt8], index: UInt64, length: UInt32)], bytes: Int) throws -> Bool {
            let all = [piece(keys), lastPiece(count: UInt64(keys.count), bytes: UInt64(bytes))]
            return try pieces(of: restored(all, as: KeyValue.self).snapshot()) == all
        }
        let longest = [UInt8](repeating: 1, count: Limits.keyBytes)
        #expect(try isAccepted([(longest, Limits.position, 0)], bytes: longest.count))
        #expect(
            try isAccepted([(key, 1, UInt32(Limits.commandBytesMax))], bytes: 1 + Limits.commandBytesMax))
        refuses([piece([(key, 0, 1)])])
        refuses([piece([(key, Limits.position + 1, 1)])], .limit)
        refuses([piece([(key, 1, UInt32(Limits.commandBytesMax) + 1)])])
        refuses([piece([([], 1, 1)])])
        refuses([piece([(longest + [1], 1, 1)])], .limit)
        refuses([piece([(key, 1, 1), (key, 2, 1)])])
        refuses([piece([(Array("l".utf8), 1, 1), (key, 2, 1)])])
        refuses([piece([(key, 1, 1)]), piece([(key, 2, 1)])])
        refuses([piece([])])
        refuses([piece([(key, 1, 1)], count: .max)], .truncated)
        refuses([piece([(key, 1, 1)], count: 2)], .truncated)
        refuses([ByteBuffer(bytes: [3])])
        refuses([piece([(key, 1, 1)]), lastPiece(count: 1, bytes: 3)])
        refuses([piece([(key, 1, 1)]), lastPiece(count: 2, bytes: 2)])
        refuses([piece([(key, 1, 1)]), lastPiece(count: .max, bytes: .max)])
        var longer = lastPiece(count: 0, bytes: 0)
        longer.writeInteger(0 as UInt8)
        refuses([longer])
    }
}
