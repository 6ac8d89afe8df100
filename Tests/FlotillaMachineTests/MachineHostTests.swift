import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

struct MachineHostTests {
    @Test("Commands are applied in order, and each has its reply")
    func commands() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        for number in [1, 2, 3] as [Int64] { run.append(number) }
        try server.apply(run.bytes)
        #expect(server.numbers == [1, 3, 6])
        #expect(try server.sum() == 6)
        #expect(server.machine.overview == [NamedValue("commands_total", 3)])
    }

    @Test("Entries that are no commands have empty replies, so that replies line up with entries")
    func otherEntries() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        for kind in EntryKind.allCases where kind != .command {
            run.append(kind, body: ByteBuffer(repeating: 0, count: 4))
            run.append(1)
        }
        try server.apply(run.bytes)
        let expected: [Int64?] = (1..<Int64(EntryKind.allCases.count)).flatMap { [nil, $0] }
        #expect(server.numbers == expected)
        #expect(server.replies?.refused.isEmpty == true)
    }

    @Test("A command of a later version can't be read before, by code that knows it as by code that does not")
    func laterCommand() throws {
        /// Knows numbers above 100 from version 1 on.
        struct Later: StateMachine {
            static let versions: ClosedRange<MachineVersion> = 0...1
            var sum: Int64 = 0
            init(configuration: MachineConfiguration) {}
            init() {}
            static func readCommand(
                from reader: inout WireReader, at version: MachineVersion
            ) throws(WireError) -> Int64 {
                let number = try Int64(from: &reader)
                guard number <= 100 || version >= 1 else { throw WireError(.malformed, "not known yet") }
                return number
            }
            mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
                sum += command
                return sum
            }
            func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
        }
        var run = RunBuilder()
        run.append(101)
        run.append(.noop, body: ByteBuffer(integer: 1, endianness: .little, as: UInt32.self))
        run.append(101)
        var machine = Later()
        var version: MachineVersion = 0
        var replies: Replies? = Replies()
        var effects = Effects()
        var sessions = SessionTable()
        _ = try machine.applyRun(
            run.bytes, version: &version, sessions: &sessions, replies: &replies, effects: &effects)
        #expect(machine.sum == 101)
        #expect(replies?.refused.map(\.position) == [0])
        #expect(replies?.refused.map(\.refusal) == [.unreadable])
    }

    @Test("A noop's version is effective for the commands behind it")
    func noopVersion() throws {
        var machine = try Adder(configuration: MachineConfiguration(cluster: ClusterName("test")))
        var run = RunBuilder()
        run.append(1)
        run.append(.noop, body: ByteBuffer(integer: 7, endianness: .little, as: UInt32.self))
        run.append(1)
        run.append(.noop)
        run.append(1)
        var version: MachineVersion = 2
        var replies: Replies?
        var effects = Effects()
        var sessions = SessionTable()
        let last = try machine.applyRun(
            run.bytes, version: &version, sessions: &sessions, replies: &replies, effects: &effects)
        #expect(last.index == 5 && last.term == 3)
        #expect(version == 7)
        #expect(machine.contexts.map(\.machineVersion) == [2, 7, 7])
        #expect(machine.contexts.map(\.index) == [1, 3, 5])
        #expect(machine.contexts.map(\.term) == [3, 3, 3])
        #expect(machine.contexts.map(\.time.nanosecondsSince1970) == [1_001, 1_003, 1_005])
    }

    @Test("A prefix with session and origin is not part of the command")
    func prefixes() throws {
        let server = try AdderServer()
        let session = CommandPrefix.Session(id: 1, serial: 3, lowestOpenSerial: 3)
        let next = CommandPrefix.Session(id: 1, serial: 4, lowestOpenSerial: 3)
        let origin = CommandPrefix.Origin(client: 4, correlation: 5)
        var run = RunBuilder()
        run.append(.sessionRegister)
        run.append(1, prefix: CommandPrefix(replyMode: .none, session: session))
        run.append(1, prefix: CommandPrefix(replyMode: .local, origin: origin))
        run.append(1, prefix: CommandPrefix(replyMode: .member, session: next, origin: origin))
        try server.apply(run.bytes)
        #expect(server.numbers == [nil, 1, 2, 3])
    }

    @Test("A command that can't be read changes nothing and is reported")
    func unreadable() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        run.append(1)
        run.append(.command)
        run.append(.command, body: ByteBuffer(bytes: [1, 0, 0, 0, 9]))
        run.append(.command, body: ByteBuffer(bytes: [9, 0, 0, 0] + [UInt8](repeating: 1, count: 8)))
        run.append(.command, body: ByteBuffer(bytes: [1, 1, 0, 0] + [UInt8](repeating: 1, count: 8)))
        run.append(2)
        try server.apply(run.bytes)
        #expect(server.numbers == [1, nil, nil, nil, nil, 3])
        #expect(server.replies?.refused.map(\.position) == [1, 2, 3, 4])
    }

    @Test("A machine that throws stops at that entry, what is before it stays applied")
    func failure() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        run.append(1)
        run.append(.noop)
        run.append(-1)
        run.append(5)
        #expect {
            try server.apply(run.bytes)
        } throws: { error in
            guard let failure = error as? MachineFailure else { return false }
            return failure.index == 3 && failure.message.contains("Negative")
                && failure.description.hasPrefix("at index 3: ")
        }
        #expect(server.numbers == [1, nil])
        #expect(try server.sum() == 1)
    }

    @Test("Without replies the state is the same")
    func noReplies() throws {
        let server = try AdderServer()
        server.replies = nil
        var run = RunBuilder()
        run.append(4)
        run.append(.noop)
        run.append(.command)
        run.append(4)
        try server.apply(run.bytes)
        #expect(server.replies == nil)
        #expect(try server.sum() == 8)
    }

    @Test("A run may be a slice from the middle of a larger buffer")
    func slices() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        run.append(3)
        run.append(4)
        var larger = ByteBuffer(string: "before")
        larger.writeImmutableBuffer(run.bytes)
        larger.writeString("behind")
        let slice = try #require(larger.getSlice(at: 6, length: run.bytes.readableBytes))
        try server.apply(slice)
        larger.moveReaderIndex(forwardBy: 6)
        larger.moveWriterIndex(to: larger.writerIndex - 6)
        try server.apply(larger)
        let last = try server.apply(ByteBuffer())
        #expect(last.index == 0 && last.term == 0)
        #expect(server.numbers == [3, 7, 10, 14])
    }

    @Test("Replies that are emptied can be filled again")
    func reuse() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        run.append(1)
        run.append(.command)
        try server.apply(run.bytes)
        server.replies?.removeAll()
        #expect(server.numbers == [] && server.replies?.refused.isEmpty == true)
        try server.apply(run.bytes)
        #expect(server.numbers == [2, nil])
        #expect(server.replies?.refused.map(\.position) == [1])
    }

    @Test("Effects are collected in order across runs until they are taken")
    func effects() throws {
        let server = try AdderServer()
        var run = RunBuilder()
        for number in [10, 1, 20] as [Int64] { run.append(number) }
        try server.apply(run.bytes)
        func append(_ number: Int64) -> Effect {
            .append(ByteBuffer(integer: number, endianness: .little), .none)
        }
        #expect(server.effects.list == [append(1), append(2)])
        server.effects.add(append(7))
        server.effects.releaseCursor(at: 3)
        server.effects.checkpoint(at: 4)
        #expect(server.effects.list == [append(1), append(2), append(7), .releaseCursor(3), .checkpoint(4)])
    }

    @Test("A query that can't be read is refused")
    func unreadableQuery() throws {
        struct Asker: StateMachine {
            init(configuration: MachineConfiguration) {}
            func apply(_ command: Nothing, at context: ApplyContext, effects: inout Effects) -> Nothing { Nothing() }
            func answer(_ query: Int64, at context: QueryContext) -> Int64 { query + Int64(context.index.rawValue) }
        }
        let host = MachineHost(Asker(configuration: MachineConfiguration(cluster: try ClusterName("test"))))
        let context = QueryContext(index: 5, term: 1, machineVersion: 0)
        var answer = ByteBuffer()
        #expect(throws: WireError.self) {
            _ = try host.answer(ByteBuffer(bytes: [1, 2]), at: context, into: &answer)
        }
        #expect(answer.readableBytes == 0)
        let read = try host.answer(ByteBuffer(integer: 2 as Int64, endianness: .little), at: context, into: &answer)
        #expect(read == nil)
        #expect(answer == ByteBuffer(integer: 7 as Int64, endianness: .little))
        #expect(Asker.versions == 0...0)
        #expect(host.overview == [])
    }

    @Test("A run that ends in the middle of an entry stops the process, for it was said to be whole")
    func cutRun() async {
        await #expect(processExitsWith: .failure) {
            let server = try AdderServer()
            var run = RunBuilder()
            run.append(1)
            try server.apply(run.bytes.getSlice(at: 0, length: run.bytes.readableBytes - 1) ?? ByteBuffer())
        }
    }
}
