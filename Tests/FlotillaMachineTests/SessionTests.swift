import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaMachine

/// Commands that come more than once take effect once.
@Suite struct SessionTests {
    private func place(_ id: UInt64, _ serial: UInt64, open: UInt64 = 1) -> CommandPrefix.Session {
        CommandPrefix.Session(id: id, serial: serial, lowestOpenSerial: open)
    }

    private func bytes(_ length: Int, _ value: UInt8) -> ByteBuffer { ByteBuffer(repeating: value, count: length) }

    private func restored(_ pieces: [ByteBuffer]) throws(WireError) -> SessionTable {
        var table = SessionTable()
        for piece in pieces { try table.restore(piece) }
        return table
    }

    // MARK: The table

    @Test func `a reply is kept until the client has seen it`() {
        var table = SessionTable()
        #expect(table.admit(place(5, 1)) == .unknownSession)
        table.register(5)
        #expect(table.admit(place(5, 1)) == .new)
        #expect(table.keep(place(5, 1), at: 6) { $0.writeString("one") } == ByteBuffer(string: "one"))
        #expect(table.admit(place(5, 2)) == .new)
        _ = table.keep(place(5, 2), at: 7) { _ in }
        #expect(table.admit(place(5, 1)) == .repeated(ByteBuffer(string: "one"), at: 6))
        #expect(table.admit(place(5, 2)) == .repeated(ByteBuffer(), at: 7), "an empty reply is one, too")
        #expect(table.admit(place(5, 3, open: 2)) == .new)
        #expect(table.admit(place(5, 1)) == .replyGone, "an old copy that comes late")
        #expect(table.admit(place(5, 2)) == .repeated(ByteBuffer(), at: 7))
        table.expire([4, 5])
        #expect(table.admit(place(5, 2)) == .unknownSession && table.count == 0)
    }

    @Test func `what is too long to be kept is still known to be applied`() {
        var table = SessionTable()
        table.register(1)
        for serial in 1...3 as ClosedRange<UInt64> {
            #expect(
                table.keep(place(1, serial), at: LogIndex(serial)) {
                    $0.writeImmutableBuffer(bytes(30_000, UInt8(serial)))
                }.readableBytes
                    == 30_000)
        }
        #expect(table.admit(place(1, 2)) == .repeated(bytes(30_000, 2), at: 2))
        #expect(table.admit(place(1, 3)) == .replyGone, "of 64 KiB two are kept")
        #expect(table.admit(place(1, 4, open: 3)) == .new)
        #expect(table.keep(place(1, 4), at: 9) { $0.writeString("four") } == ByteBuffer(string: "four"))
        #expect(table.admit(place(1, 4)) == .repeated(ByteBuffer(string: "four"), at: 9), "there is room again")
    }

    @Test func `a session holds little beyond what it needs, however long its replies are`() {
        var replies = KeptReplies()
        var most = 0
        for serial in 1...2_000 as ClosedRange<UInt64> {
            _ = replies.keep(serial, at: LogIndex(serial)) {
                $0.writeImmutableBuffer(bytes(30_000, UInt8(truncatingIfNeeded: serial)))
            }
            // The client always has one command open, so the kept replies are never all let go.
            replies.drop(below: serial)
            most = max(most, replies.heldBytes)
        }
        #expect(most <= 4 * KeptReplies.byteLimit, "\(most) bytes")
        #expect(
            replies.slot(of: 2_000).flatMap { replies.reply(in: $0) } == bytes(30_000, UInt8(truncatingIfNeeded: 2_000))
        )
        replies.drop(below: 2_001)
        #expect(replies.heldBytes == 0)
    }

    /// Draws of a fixed seed, so that a failure comes again.
    private struct Draws: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `commands in any order, repeated and dropped, against a plain model`(seed: UInt64) throws {
        var draws = Draws(state: seed)
        var table = SessionTable()
        var model: [UInt64: (open: UInt64, replies: [UInt64: (reply: ByteBuffer, index: LogIndex)])] = [:]
        for id in 1...3 as ClosedRange<UInt64> {
            table.register(id)
            model[id] = (1, [:])
        }
        var frozen: (table: SessionTable, pieces: [ByteBuffer])?
        for step in 0..<3_000 {
            let id = UInt64.random(in: 1...3, using: &draws)
            let now = model[id] ?? (1, [:])
            // The client has seen some replies; what it sends is near the lowest that it has not.
            let open = now.open + (now.replies[now.open] != nil ? UInt64.random(in: 0...1, using: &draws) : 0)
            let serial = open + UInt64.random(in: 0...40, using: &draws)
            let expected: SessionTable.Admission = now.replies[serial].map { .repeated($0.reply, at: $0.index) } ?? .new
            let found = table.admit(place(id, serial, open: open))
            #expect(found == expected, "step \(step)")
            if open > now.open {
                model[id]?.open = open
                model[id]?.replies = now.replies.filter { $0.key >= open }
            }
            if found == .new {
                let reply = bytes(Int.random(in: 0...200, using: &draws), UInt8(truncatingIfNeeded: step))
                #expect(
                    table.keep(place(id, serial), at: LogIndex(UInt64(step))) { $0.writeImmutableBuffer(reply) }
                        == reply)
                model[id]?.replies[serial] = (reply, LogIndex(UInt64(step)))
            }
            if step == 1_500 { frozen = (table, table.encodedPieces()) }
            if step % 500 == 499 {
                let pieces = table.encodedPieces()
                table = try restored(pieces)
                #expect(table.encodedPieces() == pieces)
            }
        }
        #expect(frozen?.table.encodedPieces() == frozen?.pieces, "what was frozen stays what it was")
    }

    @Test func `many sessions make several pieces, and what is no piece is refused`() throws {
        var table = SessionTable()
        for id in 1...30 as ClosedRange<UInt64> {
            table.register(id)
            _ = table.keep(place(id, 1), at: 5) { $0.writeImmutableBuffer(bytes(60_000, 1)) }
        }
        let pieces = table.encodedPieces()
        #expect(pieces.count == 6)
        #expect(try restored(pieces).encodedPieces() == pieces)
        #expect(SessionTable().encodedPieces().isEmpty)
        #expect(throws: WireError.self) { try restored([pieces[0], pieces[0]]) }
        for length in [1, 20, 1_000, pieces[0].readableBytes - 1] {
            let cut = try #require(pieces[0].getSlice(at: 0, length: length))
            #expect(throws: WireError.self) { try restored([cut]) }
        }
        var backwards = ByteBuffer()
        backwards.writeMultipleIntegers(7 as UInt64, 1 as UInt64, endianness: .little)
        backwards.writeList([4, 3] as [UInt64]) { buffer, serial in
            buffer.writeLittle(serial)
            buffer.writeLittle(serial)
            buffer.writeBool(true)
            buffer.writeBlock(ByteBuffer())
        }
        #expect(throws: WireError.self) { try restored([backwards]) }
    }

    // MARK: Machines

    private func prefix(_ serial: UInt64, open: UInt64 = 1, of id: UInt64 = 1) -> CommandPrefix {
        CommandPrefix(session: place(id, serial, open: open))
    }

    @Test func `a command that comes again is not applied again`() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        run.append(.sessionRegister)
        run.append(5, prefix: prefix(1))
        run.append(7, prefix: prefix(2))
        run.append(5, prefix: prefix(1))
        run.append(1)
        run.append(9, prefix: prefix(1, of: 77))
        run.append(3, prefix: prefix(3, open: 3))
        run.append(7, prefix: prefix(2))
        try server.apply(run.bytes)
        #expect(server.numbers == [nil, 5, 12, 5, 13, nil, 16, nil])
        #expect(server.replies?.refused.map(\.position) == [5, 7])
        #expect(server.replies?.repeated.map(\.position) == [3])
        #expect(server.replies?.repeated.map(\.index) == [2], "the index of the entry that took effect")
        #expect(server.replies?.refused.map(\.refusal) == [.unknownSession, .replyGone])
        #expect(try server.sum() == 16)
        var last = RunBuilder()
        var ids = ByteBuffer()
        ids.writeList([1] as [UInt64]) { $0.writeLittle($1) }
        last.append(.sessionExpire, body: ids)
        last.append(100, prefix: prefix(4, open: 4))
        try server.apply(last.bytes)
        #expect(server.machine.sessions.count == 0)
        #expect(try server.sum() == 16)
    }

    @Test func `whoever waits for nothing keeps the same replies`() throws {
        let (waiting, silent) = (try AdderServer(), try AdderServer())
        silent.replies = nil
        var run = RunBuilder()
        run.append(.sessionRegister)
        for serial in 1...5 as ClosedRange<UInt64> { run.append(Int64(serial), prefix: prefix(serial, open: 2)) }
        try waiting.apply(run.bytes)
        try silent.apply(run.bytes)
        #expect(!waiting.machine.sessions.encodedPieces().isEmpty)
        #expect(waiting.machine.sessions.encodedPieces() == silent.machine.sessions.encodedPieces())
    }
}
