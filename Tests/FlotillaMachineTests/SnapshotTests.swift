import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

/// A machine whose whole state is a number that is encoded with it.
private struct Small: StateMachine, WireCodable {
    var sum: Int64 = 0
    init(configuration: MachineConfiguration) {}
    init(from reader: inout WireReader) throws(WireError) { sum = try reader.integer() }
    func encode(into buffer: inout ByteBuffer) { buffer.writeLittle(sum) }
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        sum += command
        return sum
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
}

/// A list of numbers, one a piece, which must come in rising order and end with zero.
private struct Pieced: StateMachine {
    struct TooLarge: Error {}
    var numbers: [Int64] = []
    var isWhole = false
    init(configuration: MachineConfiguration) {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        numbers.append(command)
        return command
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { numbers.reduce(0, +) }
    func snapshot() -> StateSnapshot? {
        let numbers = numbers
        return StateSnapshot(from: 0) { position in
            guard position <= numbers.count else { return nil }
            defer { position += 1 }
            let number = position < numbers.count ? numbers[position] : 0
            guard number < 1_000 else { throw TooLarge() }
            return ByteBuffer(integer: number, endianness: .little)
        } liveIndexes: {
            LiveIndexes(numbers.map { LogIndex(UInt64($0)) })
        }
    }
    mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        let number = try Int64(wholePiece: piece)
        guard !isWhole, number == 0 || number > numbers.last ?? 0 else { throw WireError(.malformed, "out of order") }
        if number == 0 { isWhole = true } else { numbers.append(number) }
    }
    mutating func finishRestore() throws(WireError) {
        guard isWhole else { throw WireError(.truncated, "no end") }
    }
}

struct SnapshotTests {
    private let registry: MachineRegistry
    private let configuration: MachineConfiguration

    init() throws {
        var registry = MachineRegistry()
        registry.register(Adder.self, as: "adder")
        registry.register(Small.self, as: "small")
        registry.register(Pieced.self, as: "pieced")
        self.registry = registry
        configuration = MachineConfiguration(cluster: try ClusterName("test"))
    }

    private func number(_ number: Int64) -> ByteBuffer { ByteBuffer(integer: number, endianness: .little) }

    private func pieces(of snapshot: StateSnapshot?) throws -> [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        while let piece = try snapshot?.next() { pieces.append(piece) }
        return pieces
    }

    private func machine(_ name: String, applying numbers: [Int64]) throws -> HostedMachine {
        let machine = try registry.makeMachine(named: name, configuration: configuration)
        try apply(numbers, to: machine)
        return machine
    }

    private func apply(_ numbers: [Int64], to machine: HostedMachine) throws {
        var run = RunBuilder()
        for number in numbers { run.append(number) }
        var version: MachineVersion = 0
        var replies: Replies?
        var effects = Effects()
        _ = try machine.apply(run.bytes, version: &version, replies: &replies, effects: &effects)
    }

    private func sum(_ machine: HostedMachine) throws -> Int64? {
        var answer = ByteBuffer()
        let read = try machine.answer(
            ByteBuffer(), at: QueryContext(index: 0, term: 0, machineVersion: 0), into: &answer)
        #expect(read == nil)
        return answer.readInteger(endianness: .little)
    }

    @Test("A machine that says nothing of snapshots has none, and takes none")
    func defaults() throws {
        let adder = try machine("adder", applying: [1])
        #expect(adder.freeze() == nil)
        #expect(throws: WireError.self) { try adder.restore(number(1)) }
        try adder.finishRestore()
        let restorer = try registry.restoreMachine(named: "adder", configuration: configuration)
        #expect(throws: WireError.self) { try restorer.restore(number(1)) }
    }

    @Test("The snapshot of a small machine is its encoding, and stays what it was")
    func small() throws {
        let small = try machine("small", applying: [2, 3])
        let snapshot = try #require(small.freeze())
        try apply([7], to: small)
        #expect(try pieces(of: snapshot) == [number(5)])
        #expect(snapshot.liveIndexes().isEmpty)
        #expect(try snapshot.next() == nil)
        for length in [0, 1, 7, 9] {
            #expect(throws: WireError.self) { try small.restore(ByteBuffer(repeating: 1, count: length)) }
        }
        #expect(try sum(small) == 12)
    }

    @Test("Pieces are pulled one by one, on any thread, and so are the live indexes")
    func pulled() async throws {
        let snapshot = try #require(try machine("pieced", applying: [4, 2, 9]).freeze())
        let (pulled, live) = try await Task.detached {
            var pulled: [ByteBuffer] = []
            while let piece = try snapshot.next() { pulled.append(piece) }
            return (pulled, snapshot.liveIndexes())
        }.value
        #expect(pulled == [4, 2, 9, 0].map { number($0) })
        #expect(live == LiveIndexes([2, 4, 9]))
    }

    @Test("A piece that can't be made is an error")
    func unmakeable() throws {
        let snapshot = try #require(try machine("pieced", applying: [4, 2_000]).freeze())
        #expect(try snapshot.next() == number(4))
        #expect(throws: Pieced.TooLarge.self) { try snapshot.next() }
    }

    @Test("A machine that is restored on another thread is handed over and goes on")
    func handedOver() async throws {
        let (registry, configuration) = (registry, configuration)
        let restorer = try await Task.detached {
            let restorer = try registry.restoreMachine(named: "pieced", configuration: configuration)
            for piece in [3, 8, 0] as [Int64] { try restorer.restore(ByteBuffer(integer: piece, endianness: .little)) }
            return restorer
        }.value
        let machine = try restorer.finish()
        try apply([5], to: machine)
        #expect(try sum(machine) == 16)
        // It belongs to whoever took it.
        #expect(throws: WireError.self) { try restorer.finish() }
        #expect(throws: WireError.self) { try restorer.restore(number(0)) }
    }

    @Test("Once a piece is refused or the end is missing there is no machine")
    func refused() throws {
        let refused = try registry.restoreMachine(named: "pieced", configuration: configuration)
        try refused.restore(number(3))
        #expect(throws: WireError.self) { try refused.restore(number(3)) }
        #expect(throws: WireError.self) { try refused.restore(number(4)) }
        #expect(throws: WireError.self) { try refused.finish() }
        let cut = try registry.restoreMachine(named: "pieced", configuration: configuration)
        try cut.restore(number(3))
        #expect(throws: WireError.self) { try cut.finish() }
        #expect(throws: WireError.self) { try cut.restore(number(0)) }
    }

    @Test("An unknown name can't be restored")
    func unknown() throws {
        #expect(throws: FlotillaError.self) { try registry.restoreMachine(named: "x", configuration: configuration) }
    }
}
