import FlotillaMachine
import FlotillaMachines
import FlotillaSimulation
import FlotillaWire
import NIOCore
import Testing

/// Restored states are held against the ledger of what every member has become.
@Suite struct AuditedMachineTests {
    private final class Failures {
        var list: [String] = []
    }

    private let ledger = ApplyLedger()
    private let failures = Failures()
    private let configuration: MachineConfiguration

    init() throws {
        configuration = MachineConfiguration(cluster: try ClusterName("c"))
        ledger.fail = { [failures] in failures.list.append($0) }
    }

    /// Entries with consecutive indexes from `first` on.
    private func run(_ commands: [some WireCodable], first: UInt64 = 1) -> ByteBuffer {
        var run = ByteBuffer()
        for (number, command) in commands.enumerated() {
            var body = ByteBuffer()
            CommandPrefix().encode(into: &body)
            command.encode(into: &body)
            let header = EntryHeader(
                kind: .command, bodyLength: UInt32(body.readableBytes), index: LogIndex(first) + number, term: 1,
                time: 1,
                bodyChecksum: body.withUnsafeReadableBytes { Checksum.crc32c($0) })
            run.writeWithUnsafeMutableBytes(minimumWritableBytes: EntryHeader.byteCount) { room in
                guard let base = room.baseAddress else { return 0 }
                header.store(to: base)
                return EntryHeader.byteCount
            }
            run.writeImmutableBuffer(body)
        }
        return run
    }

    private func apply(_ entries: ByteBuffer, to machine: HostedMachine) throws {
        var version: MachineVersion = 0
        var replies: Replies?
        var effects = Effects()
        _ = try machine.apply(entries, version: &version, replies: &replies, effects: &effects)
    }

    private func make(_ name: String, on node: Int) throws -> HostedMachine {
        try ledger.machines(of: node).makeMachine(named: name, configuration: configuration)
    }

    private func pieces(of machine: HostedMachine) throws -> [ByteBuffer] {
        let snapshot = try #require(machine.freeze())
        var pieces: [ByteBuffer] = []
        while let piece = try snapshot.next() { pieces.append(piece) }
        return pieces
    }

    private func restore(_ pieces: [ByteBuffer], as name: String, on node: Int) throws -> HostedMachine {
        let restorer = try ledger.machines(of: node).restoreMachine(named: name, configuration: configuration)
        for piece in pieces { try restorer.restore(piece) }
        return try restorer.finish()
    }

    private func appends(_ keys: Range<UInt64>, each: UInt64) -> [AppendList.Command] {
        keys.flatMap { key in (0..<each).map { AppendList.Command(key: key, element: key * 100 + $0) } }
    }

    private func list(_ key: UInt64, of machine: HostedMachine) throws -> [UInt64] {
        var query = ByteBuffer()
        AppendList.Query(key: key).encode(into: &query)
        var answer = ByteBuffer()
        let read = try machine.answer(query, at: QueryContext(index: 0, term: 0, machineVersion: 0), into: &answer)
        #expect(read == nil)
        var reader = WireReader(answer)
        return try AppendList.Answer(from: &reader).elements
    }

    @Test func `a restored machine goes on where the others are`() throws {
        let first = try make("list", on: 0)
        try apply(run(appends(0..<40, each: 3)), to: first)
        let all = try pieces(of: first)
        // One piece of its own, and more than one with lists.
        #expect(all.count > 3)
        #expect(all[0].readableBytes == 16)
        let second = try restore(all, as: "list", on: 1)
        #expect(try pieces(of: second) == all)
        for key in 0..<41 as Range<UInt64> { #expect(try list(key, of: second) == list(key, of: first)) }
        let more = run(appends(20..<60, each: 2), first: 121)
        try apply(more, to: first)
        try apply(more, to: second)
        #expect(failures.list == [])
    }

    @Test(arguments: ["kv", "counter", "list"])
    func `every machine can be frozen while it goes on`(name: String) throws {
        let machine = try make(name, on: 0)
        let put = KeyValue.Command.put(KeyValue.Key("k"), ByteBuffer(string: "v"), ifIndex: nil)
        try apply(run([put, put]), to: machine)
        let snapshot = try #require(machine.freeze())
        try apply(run([put], first: 3), to: machine)
        #expect(snapshot.liveIndexes() == LiveIndexes(name == "kv" ? [2] : []))
        var pieces: [ByteBuffer] = []
        while let piece = try snapshot.next() { pieces.append(piece) }
        _ = try restore(pieces, as: name, on: 1)
        #expect(failures.list == [])
    }

    @Test func `a state that is not the one that the others had is found`() throws {
        let machine = try make("counter", on: 0)
        try apply(run([5, 6] as [Int64]), to: machine)
        let all = try pieces(of: machine)
        var otherChain = all
        otherChain[0].setInteger(7 as UInt64, at: 8, endianness: .little)
        _ = try restore(otherChain, as: "counter", on: 1)
        #expect(failures.list.count == 1 && failures.list[0].contains("is not the one"))
        for unknown in [0, 3, Limits.position] as [UInt64] {
            failures.list = []
            var other = all
            other[0].setInteger(unknown, at: 0, endianness: .little)
            _ = try restore(other, as: "counter", on: 1)
            #expect(failures.list.count == 1 && failures.list[0].contains("nobody has applied"))
        }
        // Another state under the right chain shows at the next reply.
        failures.list = []
        var otherState = all
        otherState[1].setInteger(12 as Int64, at: 0, endianness: .little)
        let wrong = try restore(otherState, as: "counter", on: 1)
        #expect(failures.list == [])
        let next = run([1] as [Int64], first: 3)
        try apply(next, to: machine)
        try apply(next, to: wrong)
        #expect(failures.list.count == 1 && failures.list[0].contains("differ after entry 3"))
    }

    /// Where the lists in a piece end: each is 8 bytes key, 4 bytes count and 8 bytes for each element.
    private func listEnds(in piece: ByteBuffer) -> Set<Int> {
        var ends: Set<Int> = []
        var position = 0
        while let count: UInt32 = piece.getInteger(at: piece.readerIndex + position + 8, endianness: .little) {
            position += 12 + 8 * Int(count)
            ends.insert(position)
        }
        return ends
    }

    @Test func `pieces that are cut or missing are refused`() throws {
        let machine = try make("list", on: 0)
        try apply(run(appends(0..<10, each: 10)), to: machine)
        let all = try pieces(of: machine)
        for position in all.indices {
            for length in 0..<all[position].readableBytes {
                var cut = all
                cut[position] = try #require(all[position].getSlice(at: 0, length: length))
                // A piece may end behind a list: that it is cut can only be seen by whoever keeps it.
                if position > 0, listEnds(in: all[position]).contains(length) { continue }
                #expect(throws: WireError.self) { try restore(cut, as: "list", on: 1) }
            }
        }
        #expect(throws: WireError.self) { try restore([], as: "list", on: 1) }
        #expect(throws: WireError.self) { try restore(all + [all[1]], as: "list", on: 1) }
        #expect(failures.list == [])
    }
}
