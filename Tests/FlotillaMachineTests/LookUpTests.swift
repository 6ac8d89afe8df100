import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

/// Remembers where its last command stands, and takes it from there.
private struct Rememberer: StateMachine {
    var last: LogIndex?
    init(configuration: MachineConfiguration) {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Nothing {
        last = context.index
        return Nothing()
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { -1 }
    func lookUp(_ query: Nothing, at context: QueryContext) -> QueryOutcome<Int64> {
        guard let last else { return .answer(0) }
        return .read([last]) { entries in
            entries[0].flatMap { try? Int64(wholePiece: $0) }
        }
    }
}

struct LookUpTests {
    private let context = QueryContext(index: 3, term: 1, machineVersion: 0)

    /// The entries of a run, one by one.
    private func entries(_ run: RunBuilder) -> [ByteBuffer] {
        var rest = run.bytes
        var entries: [ByteBuffer] = []
        while let length = rest.getInteger(at: rest.readerIndex + 4, endianness: .little, as: UInt32.self),
            let entry = rest.readSlice(length: EntryHeader.byteCount + Int(length))
        {
            entries.append(entry)
        }
        return entries
    }

    @Test("A query is looked up, read and finished without the types of its machine")
    func erased() throws {
        let host = MachineHost(Rememberer(configuration: MachineConfiguration(cluster: try ClusterName("test"))))
        var buffer = ByteBuffer(string: "before")
        #expect(try host.answer(ByteBuffer(), at: context, into: &buffer) == nil)
        #expect(buffer.readableBytes == 14)
        var run = RunBuilder()
        run.append(41)
        run.append(.noop)
        run.append(43)
        var version: MachineVersion = 0
        var replies: Replies?
        var effects = Effects()
        _ = try host.apply(run.bytes, version: &version, replies: &replies, effects: &effects)
        buffer = ByteBuffer(string: "before")
        let read = try #require(try host.answer(ByteBuffer(), at: context, into: &buffer))
        #expect(read.indexes == [3])
        #expect(buffer == ByteBuffer(string: "before"))
        let log = entries(run)
        for wrong in [nil, log[0], log[1], ByteBuffer()] {
            #expect(!read.finish(ReadEntries(of: [3], entries: [wrong]), &buffer))
        }
        #expect(buffer == ByteBuffer(string: "before"))
        #expect(read.finish(ReadEntries(of: [3], entries: [log[2]]), &buffer))
        buffer.moveReaderIndex(forwardBy: 6)
        #expect(buffer == ByteBuffer(integer: 43 as Int64, endianness: .little))
    }

    @Test("A command is what stands behind its prefix, and everything else counts as gone")
    func readEntries() {
        let session = CommandPrefix.Session(id: 1, serial: 2, lowestOpenSerial: 3)
        let origin = CommandPrefix.Origin(client: 4, correlation: 5)
        var run = RunBuilder()
        run.append(11)
        run.append(12, prefix: CommandPrefix(replyMode: .none, session: session, origin: origin))
        run.append(.noop, body: ByteBuffer(integer: 7, endianness: .little, as: UInt32.self))
        run.append(.command, body: ByteBuffer(bytes: [9, 0, 0, 0]))
        run.append(.command)
        run.append(.command, body: ByteBuffer(bytes: [1, 0, 0, 0]))
        let indexes = (1...6).map { LogIndex($0) }
        func number(_ number: Int64) -> ByteBuffer { ByteBuffer(integer: number, endianness: .little) }
        let read = ReadEntries(of: indexes, entries: entries(run))
        #expect((0..<6).map { read[$0] } == [number(11), number(12), nil, nil, nil, ByteBuffer()])
        #expect(indexes.map { read.payload(at: $0) } == (0..<6).map { read[$0] })
        #expect(read.payload(at: 7) == nil)
        #expect(read.indexes == indexes)
        // In any order and as often as one likes.
        let log = entries(run)
        let again = ReadEntries(of: [2, 1, 2], entries: [log[1], log[0], log[1]])
        #expect((0..<3).map { again[$0] } == [number(12), number(11), number(12)])
        #expect(again.payload(at: 1) == number(11))
        // Payloads that are known already.
        #expect(ReadEntries(of: [5], payloads: [number(1)])[0] == number(1))
    }

    @Test("An entry that is cut anywhere is gone")
    func cutEntries() {
        var run = RunBuilder()
        run.append(11)
        for length in 0..<run.bytes.readableBytes {
            let cut = run.bytes.getSlice(at: 0, length: length)
            #expect(ReadEntries(of: [1], entries: [cut])[0] == nil)
        }
        #expect(ReadEntries(of: [1], entries: [run.bytes])[0] != nil)
    }
}
