import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// The way of a command through kernels: what is acknowledged when, and what is refused how.
@Suite struct CommandWayTests {
    @Test func `commands are applied in order on every member and answered by the leader`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        let client = fleet.client(of: fleet[leader])
        let numbers = client.add(5, 7, -2, to: server.uid)
        #expect(numbers.map { client.number($0) } == [5, 12, 10])
        #expect(numbers.compactMap { client.results[$0]?.index } == [2, 3, 4])
        for number in 1...3 { #expect(fleet.server("c", on: number)?.applied == 4) }
    }

    @Test func `nothing is acknowledged before a majority has it on disk`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        for node in fleet.nodes { node.hasPromptDisk = false }
        let client = fleet.client(of: fleet[leader])
        let number = client.add(1, to: server.uid)[0]
        #expect(client.results[number] == nil)
        fleet.sync(fleet[leader])
        fleet.settle()
        #expect(client.results[number] == nil, "the leader's own disk is no majority")
        fleet.sync(fleet[leader % 3 + 1])
        fleet.settle()
        #expect(client.number(number) == 1)
    }

    @Test func `two followers' disks are enough without the leader's`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        fleet[leader].hasPromptDisk = false
        let client = fleet.client(of: fleet[leader])
        let number = client.add(1, to: server.uid)[0]
        #expect(client.number(number) == 1)
    }

    @Test func `a follower names the leader and appends nothing`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let follower = try #require(fleet.server("c", on: leader % 3 + 1))
        let client = fleet.client(of: fleet[leader % 3 + 1])
        let number = client.add(1, to: follower.uid)[0]
        #expect(client.rejections[number]?.code == .notLeader)
        #expect(client.rejections[number]?.leader?.node == fleet[leader].name)
        #expect(follower.core.lastIndex == 1)
    }

    @Test func `a server that is not here is refused`() throws {
        let fleet = try KernelFleet(1)
        let client = fleet.client(of: fleet[1])
        let number = client.add(1, to: ServerUID(high: 1, low: 1))[0]
        #expect(client.rejections[number]?.code == .unknownServer)
    }

    @Test func `a deposed leader's command that another overwrites is rejected as such`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let old = try #require(fleet.leader(of: "c"))
        let others = [1, 2, 3].filter { $0 != old }
        let server = try #require(fleet.server("c", on: old))
        for other in others { fleet.cut(fleet[old], fleet[other]) }
        let client = fleet.client(of: fleet[old])
        let number = client.add(100, to: server.uid)[0]
        #expect(fleet.run { others.contains { fleet.server("c", on: $0)?.core.role == .leader } })
        let new = try #require(others.first { fleet.server("c", on: $0)?.core.role == .leader })
        let newServer = try #require(fleet.server("c", on: new))
        let second = fleet.client(of: fleet[new])
        let accepted = second.add(1, to: newServer.uid)[0]
        #expect(second.number(accepted) == 1)
        #expect(client.results[number] == nil && client.rejections[number] == nil)
        fleet.heal()
        #expect(fleet.run { client.rejections[number] != nil })
        #expect(client.rejections[number]?.code == .overwritten)
        #expect(fleet.run { server.applied == newServer.applied })
    }

    @Test func `a deposed leader's command that survives is answered by it all the same`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let old = try #require(fleet.leader(of: "c"))
        let heir = old % 3 + 1
        let server = try #require(fleet.server("c", on: old))
        // The heir writes the command, but its answer never comes back; the third is not reached at all.
        fleet.cut(fleet[old], fleet[heir % 3 + 1])
        fleet[old].hasPromptDisk = false
        fleet[heir].hasPromptDisk = false
        let client = fleet.client(of: fleet[old])
        let number = client.add(9, to: server.uid)[0]
        fleet.cut(fleet[old], fleet[heir])
        fleet[heir].hasPromptDisk = true
        fleet.sync(fleet[heir])
        fleet[old].hasPromptDisk = true
        fleet.sync(fleet[old])
        #expect(fleet.run { fleet.server("c", on: heir)?.core.role == .leader })
        #expect(client.results[number] == nil)
        fleet.heal()
        #expect(fleet.run { client.results[number] != nil })
        #expect(client.number(number) == 9)
    }

    @Test func `a command that the machine can't read changes nothing and is reported`() throws {
        let fleet = try KernelFleet(1)
        try fleet.start("c", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        let numbers = client.submit([ByteBuffer(bytes: [1, 2, 3])], to: server.uid) + client.add(4, to: server.uid)
        #expect(client.rejections[numbers[0]]?.code == .malformed)
        #expect(client.number(numbers[1]) == 4)
        #expect(server.failure == nil)
    }

    @Test func `new commands are refused as busy when memory is full, and reads go on`() throws {
        var configuration = KernelConfiguration()
        configuration.memoryTableBytes = 2_000
        let fleet = try KernelFleet(1, configuration: configuration)
        try fleet.start("c", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        var refused: FlotillaError?
        for _ in 0..<100 where refused == nil { refused = client.rejection(client.add(1, to: server.uid)[0]) }
        #expect(refused?.code == .busy)
        #expect(refused?.message.contains("memory-table-max-bytes") == true)
        #expect(client.number(client.query(server.uid, .consistent)) ?? 0 > 0)
    }
}
