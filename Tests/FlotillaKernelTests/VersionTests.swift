import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// A machine whose code comes in several versions; each adds what it is given times one more than its number.
private protocol Code: Sendable { static var range: ClosedRange<MachineVersion> { get } }
private enum Old: Code { static let range: ClosedRange<MachineVersion> = 0...0 }
private enum New: Code { static let range: ClosedRange<MachineVersion> = 0...2 }
private enum Newest: Code { static let range: ClosedRange<MachineVersion> = 2...3 }

private struct Versioned<Kind: Code>: StateMachine {
    static var versions: ClosedRange<MachineVersion> { Kind.range }
    var sum: Int64 = 0
    var rises: Int64 = 0
    init(configuration: MachineConfiguration) {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        sum += command * Int64(context.machineVersion.rawValue + 1)
        return sum
    }
    mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) {
        if case .versionChanged(let from, let to) = event {
            rises = rises * 100 + Int64(from.rawValue * 10 + to.rawValue)
        }
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { rises }
}

@Suite struct VersionTests {
    private static func registry<Kind: Code>(_ code: Kind.Type) -> MachineRegistry {
        var registry = MachineRegistry()
        registry.register(Versioned<Kind>.self, as: "versioned")
        return registry
    }

    private func started(
        _ upgrade: MachineUpgrade = .all, _ change: (KernelFleet) -> Void = { _ in }
    ) throws -> KernelFleet {
        var configuration = KernelConfiguration()
        configuration.machineUpgrade = upgrade
        let fleet = try KernelFleet(3, machines: Self.registry(Old.self), configuration: configuration)
        change(fleet)
        for number in 1...3 where fleet.machinesOfNodes[fleet[number].name] != nil {
            fleet.kill(fleet[number])
            try fleet.restart(fleet[number])
        }
        fleet.run(milliseconds: 1_000)
        try fleet.start("c", machine: "versioned", on: [1, 2, 3])
        return fleet
    }

    private func add(_ number: Int64, _ fleet: KernelFleet) throws -> Int64? {
        #expect(fleet.run { fleet.leader(of: "c").flatMap { fleet.server("c", on: $0) }?.core.readyToServe ?? false })
        let leader = try #require(fleet.leader(of: "c"))
        let client = fleet.client(of: fleet[leader])
        let sent = client.add(number, to: try #require(fleet.server("c", on: leader)).uid)[0]
        _ = fleet.run(atMost: 2_000) { client.number(sent) != nil }
        return client.number(sent)
    }

    private func upgrade<Kind: Code>(_ number: Int, to code: Kind.Type, _ fleet: KernelFleet) throws {
        fleet.kill(fleet[number])
        fleet.machinesOfNodes[fleet[number].name] = Self.registry(code)
        try fleet.restart(fleet[number])
        #expect(fleet.run { (1...3).allSatisfy { fleet.server("c", on: $0)?.core.leader != nil } })
    }

    private func version(_ number: Int, _ fleet: KernelFleet) -> MachineVersion? {
        fleet.server("c", on: number)?.machineVersion
    }

    private func rises(_ number: Int, _ fleet: KernelFleet) throws -> Int64 {
        let server = try #require(fleet.server("c", on: number))
        var answer = ByteBuffer()
        _ = try server.machine.answer(
            ByteBuffer(), at: QueryContext(index: server.applied, term: 1, machineVersion: 0), into: &answer)
        return try Int64(wholePiece: answer)
    }

    @Test func `a new cluster runs the highest version that all its members have`() throws {
        let fleet = try started { fleet in
            for number in 1...3 { fleet.machinesOfNodes[fleet[number].name] = Self.registry(New.self) }
        }
        #expect(try add(1, fleet) == 3)
        let mixed = try started { fleet in
            for number in 1...2 { fleet.machinesOfNodes[fleet[number].name] = Self.registry(New.self) }
        }
        #expect(try add(1, mixed) == 1)
    }

    @Test func `a mixed cluster keeps the old behaviour until all members have the new code`() throws {
        let fleet = try started()
        #expect(try add(1, fleet) == 1)
        try upgrade(1, to: New.self, fleet)
        try upgrade(2, to: New.self, fleet)
        fleet.run(milliseconds: 3_000)
        #expect(try add(1, fleet) == 2)
        try upgrade(3, to: New.self, fleet)
        #expect(fleet.run { (1...3).allSatisfy { version($0, fleet) == 2 } })
        #expect(try add(1, fleet) == 5)
        #expect(try (1...3).map { try rises($0, fleet) } == [2, 2, 2], "told once, from 0 to 2")
        // And after a restart from the log.
        for number in 1...3 { fleet.kill(fleet[number]) }
        for number in 1...3 { try fleet.restart(fleet[number]) }
        #expect(try add(1, fleet) == 8)
        #expect(try (1...3).map { try rises($0, fleet) } == [2, 2, 2])
    }

    @Test func `a node of which nothing is known holds an upgrade up`() throws {
        let fleet = try started()
        fleet.kill(fleet[3])
        try upgrade2(fleet)
        fleet.run(milliseconds: 3_000)
        #expect(try add(1, fleet) == 1)
        fleet.machinesOfNodes[fleet[3].name] = Self.registry(New.self)
        try fleet.restart(fleet[3])
        #expect(fleet.run { version(3, fleet) == 2 })
    }

    private func upgrade2(_ fleet: KernelFleet) throws {
        for number in 1...2 {
            fleet.kill(fleet[number])
            fleet.machinesOfNodes[fleet[number].name] = Self.registry(New.self)
            try fleet.restart(fleet[number])
        }
        #expect(fleet.run { fleet.leader(of: "c") != nil })
    }

    @Test func `by a quorum a member with old code keeps the log, applies nothing, and goes on with new code`() throws {
        let fleet = try started(.quorum)
        let old = try #require(fleet.leader(of: "c"))
        let others = (1...3).filter { $0 != old }
        for other in others { try upgrade(other, to: New.self, fleet) }
        // Whoever leads with the new code says so.
        fleet.kill(fleet[old])
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != old } ?? false })
        try fleet.restart(fleet[old])
        #expect(try add(1, fleet) == 3)
        #expect(fleet.run { fleet.server("c", on: old)?.failure?.isOfVersion ?? false })
        let failed = try #require(fleet.server("c", on: old))
        #expect(failed.failure?.message.contains("version 2") ?? false)
        let leader = try #require(fleet.leader(of: "c"))
        #expect(fleet.run { failed.core.lastIndex == fleet.server("c", on: leader)?.core.lastIndex })
        // With it there is a majority, but it does not lead.
        fleet.kill(fleet[leader])
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != old && $0 != leader } ?? false })
        #expect(try add(1, fleet) == 6)
        try fleet.restart(fleet[leader])
        try upgrade(old, to: New.self, fleet)
        let back = try #require(fleet.server("c", on: old))
        #expect(fleet.run { back.failure == nil && back.machineVersion == 2 && back.applied == back.core.lastIndex })
        #expect(try rises(old, fleet) == 2)
    }

    @Test
    func `code that runs only later versions begins with its lowest, and takes up a log of earlier ones not at all`()
        throws
    {
        let fleet = try started { fleet in
            for number in 1...3 { fleet.machinesOfNodes[fleet[number].name] = Self.registry(Newest.self) }
        }
        #expect(try add(1, fleet) == 4)
        let second = try started()
        #expect(try add(1, second) == 1)
        try upgrade(1, to: Newest.self, second)
        #expect(second.run { second.server("c", on: 1)?.failure != nil })
        #expect(try add(1, second) == 2)
    }
}
