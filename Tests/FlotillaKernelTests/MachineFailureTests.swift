import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// A machine that gives up on a certain number.
private struct Fragile: StateMachine {
    struct Broken: Error {}
    private var sum: Int64 = 0
    init(configuration: MachineConfiguration) {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) throws -> Int64 {
        if command == 13 { throw Broken() }
        if command == 5 { effects.append(Int64(50)) }
        sum += command
        return sum
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
}

/// A machine that wants more appended than a command may have.
private struct Greedy: StateMachine {
    struct Long: WireCodable {
        init() {}
        init(from reader: inout WireReader) throws(WireError) {}
        func encode(into buffer: inout ByteBuffer) { buffer.writeRepeatingByte(1, count: 100) }
    }
    init(configuration: MachineConfiguration) {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        effects.append(Long())
        return command
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { 0 }
}

@Suite struct MachineFailureTests {
    private func fleet(_ count: Int) throws -> KernelFleet {
        var machines = MachineRegistry()
        machines.register(Fragile.self, as: "fragile")
        return try KernelFleet(count, machines: machines)
    }

    @Test func `a machine that fails halts its own server only`() throws {
        let fleet = try fleet(1)
        try fleet.start("bad", machine: "fragile", on: [1])
        try fleet.start("good", machine: "fragile", on: [1])
        let bad = try #require(fleet.server("bad", on: 1))
        let good = try #require(fleet.server("good", on: 1))
        let client = fleet.client(of: fleet[1])
        let numbers = client.add(1, 13, 2, to: bad.uid)
        #expect(client.number(numbers[0]) == 1)
        #expect(client.rejections[numbers[1]]?.code == .halted)
        #expect(client.rejections[numbers[2]]?.code == .halted)
        #expect(bad.applied == 2)
        #expect(client.rejection(client.add(1, to: bad.uid)[0])?.code == .halted)
        #expect(client.rejection(client.query(bad.uid, .consistent))?.code == .halted)
        #expect(client.number(client.add(3, to: good.uid)[0]) == 3)
        guard case .nodeOverview(let overview)? = client.response(client.ask(.overview)) else {
            Issue.record("no overview")
            return
        }
        #expect(overview.servers.map(\.state) == ["halted", "leader"])
        #expect(overview.servers[0].note.contains("index 3"))
    }

    @Test func `what a machine wants appended beyond the limit is dropped and said`() throws {
        var machines = MachineRegistry()
        machines.register(Greedy.self, as: "greedy")
        var configuration = KernelConfiguration()
        configuration.commandBytes = 64
        let fleet = try KernelFleet(1, machines: machines, configuration: configuration)
        try fleet.start("c", machine: "greedy", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        #expect(client.number(client.add(7, to: server.uid)[0]) == 7)
        #expect(server.core.lastIndex == 2)
        #expect(
            fleet[1].events.contains {
                if case .effectDropped(server.creation.id, let reason) = $0 { reason.contains("64") } else { false }
            })
    }

    @Test func `what a machine wants appended is appended once, by the leader`() throws {
        let fleet = try fleet(3)
        try fleet.start("c", machine: "fragile", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        let client = fleet.client(of: fleet[leader])
        _ = client.add(5, to: server.uid)
        fleet.settle()
        for number in 1...3 { #expect(fleet.server("c", on: number)?.applied == 3) }
        #expect(client.number(client.query(server.uid, .consistent)) == 55)
    }
}
