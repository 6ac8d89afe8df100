import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import Testing

@testable import FlotillaKernel

/// Whole clusters that are deleted.
@Suite struct DeletionTests {
    private func fleet(_ count: Int = 3, members: Int = 3) throws -> (KernelFleet, leader: Int) {
        let fleet = try KernelFleet(count)
        try fleet.start("c", on: Array(1...members))
        return (fleet, try #require(fleet.leader(of: "c")))
    }

    private func isGone(_ fleet: KernelFleet, on numbers: [Int] = [1, 2, 3]) -> Bool {
        numbers.allSatisfy { fleet.server("c", on: $0) == nil }
    }

    /// Asks the leader to delete the cluster; what it answered is found with the number.
    private func delete(_ fleet: KernelFleet, _ leader: Int, timeout: UInt32 = 5_000) throws -> (TestClient, UInt64) {
        let client = fleet.client(of: fleet[leader])
        let uid = try #require(fleet.server("c", on: leader)).uid
        return (client, client.ask(.deleteCluster(uid, timeoutMilliseconds: timeout)))
    }

    private func code(_ response: ClientResponse?) -> FlotillaError.Code? {
        if case .error(let error)? = response { error.code } else { nil }
    }

    private func tombstones(_ node: KernelFleet.Node) -> [(index: LogIndex, term: Term)] {
        node.log.compactMap { if case .serverDeleted(_, _, let index, let term) = $0 { (index, term) } else { nil } }
    }

    @Test func `all members go at once, and each keeps a tombstone`() throws {
        let (fleet, leader) = try fleet()
        let server = try #require(fleet.server("c", on: leader))
        let client = fleet.client(of: fleet[leader])
        let last = client.add(1, 2, 3, to: server.uid)[2]
        let number = client.ask(.deleteCluster(server.uid, timeoutMilliseconds: 5_000))
        #expect(client.response(number) == .done, "nothing waits for a timer")
        #expect(client.number(last) == 6)
        #expect(isGone(fleet))
        for node in fleet.nodes {
            #expect(tombstones(node).map(\.index) == [server.core.lastIndex])
            #expect(tombstones(node).map(\.term) == [server.core.term])
            #expect(node.jobs.contains { if case .removeServer = $0.work { true } else { false } })
            #expect(node.kernel.memoryBytes == 0)
        }
        let after = client.add(4, to: server.uid)[0]
        #expect(client.rejection(after)?.code == .unknownServer)
    }

    @Test func `a cluster of the same name starts at once, one of the same identity never again`() throws {
        let (fleet, leader) = try fleet()
        let old = try #require(fleet.server("c", on: leader)).creation.clusterID
        let (client, number) = try delete(fleet, leader)
        let response = try client.start("c", machine: "counter", on: ["n1", "n2", "n3"])
        #expect(client.response(number) == .done)
        guard case .clusterStarted(let started)? = response else {
            Issue.record("not started: \(String(describing: response))")
            return
        }
        #expect(started.cluster != old && started.notStarted.isEmpty)
        #expect(code(try client.start("d", machine: "counter", on: ["n1", "n2", "n3"], id: old)) == .deleted)
        for node in fleet.nodes {
            fleet.kill(node)
            try fleet.restart(node)
        }
        fleet.run(milliseconds: 5_000)
        #expect((1...3).allSatisfy { fleet.server("c", on: $0)?.creation.clusterID == started.cluster })
        let other = fleet.client(of: fleet[1])
        #expect(code(try other.start("d", machine: "counter", on: ["n1", "n2", "n3"], id: old)) == .deleted)
    }

    @Test func `behind the end no command is taken and no member changed; a second request waits for the first`() throws
    {
        let (fleet, leader) = try fleet(4)
        let server = try #require(fleet.server("c", on: leader))
        for node in fleet.nodes { node.hasPromptDisk = false }
        let client = fleet.client(of: fleet[leader])
        let before = client.add(5, to: server.uid)[0]
        let first = client.ask(.deleteCluster(server.uid, timeoutMilliseconds: 5_000))
        let second = client.ask(.deleteCluster(server.uid, timeoutMilliseconds: 5_000))
        let after = client.add(7, to: server.uid)[0]
        #expect(client.rejection(after)?.code == .deleted)
        let added = fleet[leader].kernel.addMember(to: try ClusterName("c"), on: fleet[4].name, role: .nonVoter)
        if case .failure(let error) = added {
            #expect(error.code == .deleted)
        } else {
            Issue.record("a member is added")
        }
        #expect(client.response(first) == nil)
        for node in fleet.nodes {
            node.hasPromptDisk = true
            fleet.sync(node)
        }
        fleet.settle()
        #expect(client.number(before) == 5)
        #expect(client.response(first) == .done && client.response(second) == .done)
        #expect(isGone(fleet))
    }

    @Test func `only the leader is asked, and it names itself`() throws {
        let (fleet, leader) = try fleet()
        let (client, number) = try delete(fleet, leader % 3 + 1)
        guard case .error(let error)? = client.response(number) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .notLeader && error.leader?.node == fleet[leader].name)
        #expect(!isGone(fleet, on: [1]))
    }

    @Test(arguments: [false, true])
    func `a member that was down is told when it is back, also by nodes that were started anew`(_ restarts: Bool) throws
    {
        let (fleet, leader) = try fleet()
        let absent = leader % 3 + 1
        fleet.kill(fleet[absent])
        fleet.run(milliseconds: 2_000)
        let (client, number) = try delete(fleet, leader)
        #expect(client.response(number) == .done)
        let others = [1, 2, 3].filter { $0 != absent }
        #expect(isGone(fleet, on: others))
        if restarts {
            for number in others {
                fleet.kill(fleet[number])
                try fleet.restart(fleet[number])
            }
        }
        try fleet.restart(fleet[absent])
        #expect(fleet.server("c", on: absent) != nil)
        #expect(fleet.run(atMost: 2_000) { isGone(fleet) })
        #expect(tombstones(fleet[absent]).count == 1 && tombstones(fleet[absent])[0].index > .zero)
    }

    @Test func `a member that was down hears it from one node, while the other is gone for good`() throws {
        let (fleet, leader) = try fleet()
        let absent = leader % 3 + 1
        fleet.kill(fleet[absent])
        fleet.run(milliseconds: 2_000)
        _ = try delete(fleet, leader)
        fleet.kill(fleet[leader])
        try fleet.restart(fleet[absent])
        #expect(fleet.run(atMost: 2_000) { isGone(fleet, on: [1, 2, 3].filter { $0 != leader }) })
    }

    @Test func `in a minority nothing is deleted, and the cluster goes on without the entry`() throws {
        let (fleet, leader) = try fleet()
        let others = [1, 2, 3].filter { $0 != leader }
        for number in others { fleet.cut(fleet[leader], fleet[number]) }
        let (client, number) = try delete(fleet, leader, timeout: 200)
        fleet.run(milliseconds: 400)
        #expect(code(client.response(number)) == .timeout, "it may still come")
        #expect(
            fleet.run {
                others.contains(fleet.leader(of: "c") ?? leader) || fleet.server("c", on: leader)?.core.role != .leader
            })
        #expect(fleet.run { others.contains { fleet.server("c", on: $0)?.core.role == .leader } })
        fleet.heal()
        #expect(fleet.run { fleet.server("c", on: leader)?.core.endIndex == nil })
        let now = try #require(others.first { fleet.server("c", on: $0)?.core.role == .leader })
        let other = fleet.client(of: fleet[now])
        #expect(other.number(other.add(9, to: try #require(fleet.server("c", on: now)).uid)[0]) == 9)
        #expect(fleet.nodes.allSatisfy { tombstones($0).isEmpty })
    }

    @Test func `whoever waits where the entry is overwritten is told that nobody knows`() throws {
        let (fleet, leader) = try fleet()
        let others = [1, 2, 3].filter { $0 != leader }
        for number in others { fleet.cut(fleet[leader], fleet[number]) }
        let (client, number) = try delete(fleet, leader, timeout: 60_000)
        #expect(fleet.run { others.contains { fleet.server("c", on: $0)?.core.role == .leader } })
        fleet.heal()
        #expect(fleet.run { client.response(number) != nil })
        #expect(code(client.response(number)) == .outcomeUnknown)
        #expect(!isGone(fleet))
    }

    @Test func `a leader that dies once the entry is committed leaves the rest to the others`() throws {
        let (fleet, leader) = try fleet()
        let others = [1, 2, 3].filter { $0 != leader }
        for number in others { fleet[number].hasPromptDisk = false }
        _ = try delete(fleet, leader)
        #expect(others.allSatisfy { fleet.server("c", on: $0)?.core.endIndex != nil })
        for number in others { fleet.sync(fleet[number]) }
        fleet.kill(fleet[leader])
        for number in others { fleet[number].hasPromptDisk = true }
        #expect(fleet.run(atMost: 5_000) { isGone(fleet, on: others) })
        try fleet.restart(fleet[leader])
        #expect(fleet.run(atMost: 2_000) { isGone(fleet) })
    }

    @Test func `a leader waits for a member that is up and slow, but not for ever`() throws {
        let (fleet, leader) = try fleet()
        let slow = leader % 3 + 1
        fleet[slow].hasPromptDisk = false
        let (client, number) = try delete(fleet, leader)
        #expect(client.response(number) == nil)
        #expect(fleet.server("c", on: slow)?.core.committedEnd != nil, "it knows, but has not got it durably")
        #expect(fleet.run(atMost: 3_000) { client.response(number) != nil })
        #expect(client.response(number) == .done)
        fleet[slow].hasPromptDisk = true
        fleet.sync(fleet[slow])
        #expect(fleet.run(atMost: 2_000) { isGone(fleet) })
    }

    @Test func `a cluster of one is deleted, and one whose machine has failed`() throws {
        let fleet = try KernelFleet(1)
        try fleet.start("c", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        fleet[1].kernel.halt(server, .init(index: server.applied.next, message: "it has failed"))
        let (client, number) = try delete(fleet, 1)
        #expect(client.response(number) == .done && isGone(fleet, on: [1]))
    }

    @Test func `an end that is not committed is found again by a restart`() throws {
        let (fleet, leader) = try fleet()
        let others = [1, 2, 3].filter { $0 != leader }
        for number in others { fleet.cut(fleet[leader], fleet[number]) }
        _ = try delete(fleet, leader)
        let end = try #require(fleet.server("c", on: leader)?.core.endIndex)
        let server = try #require(fleet.server("c", on: leader))
        #expect(fleet[leader].kernel.lastToFlush(of: server) == end.previous)
        fleet.kill(fleet[leader])
        try fleet.restart(fleet[leader])
        #expect(fleet.server("c", on: leader)?.core.endIndex == end)
    }

    @Test func `nothing but the word of a member's node deletes a server`() throws {
        let (fleet, leader) = try fleet(4)
        let server = try #require(fleet.server("c", on: leader))
        let kernel = fleet[leader].kernel
        let member = try #require(kernel.peers.first { $0.name == fleet[leader % 3 + 1].name })
        let stranger = try #require(kernel.peers.first { $0.name == fleet[4].name })
        let end = PeerMessage.DeletedCluster(cluster: server.creation.clusterID, index: 9, term: 1)
        kernel.wereDeleted([end], on: stranger)
        kernel.isUnknown(server.uid, of: server.creation.clusterID, on: member)
        fleet.run(milliseconds: 1_000)
        #expect(fleet.server("c", on: leader) != nil)
        var known = end
        known.index = server.core.commitIndex
        kernel.wereDeleted([known], on: member)
        #expect(fleet.server("c", on: leader) != nil, "what is committed here is no end")
        kernel.wereDeleted([end], on: member)
        #expect(fleet.server("c", on: leader) == nil)
    }

    @Test func `a server that went alone leaves no word of a deleted cluster`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        fleet.kill(fleet[2])
        fleet.kill(fleet[3])
        let client = fleet.client(of: fleet[1])
        #expect(code(try client.start("c", machine: "counter", on: ["n1", "n2", "n3"])) == .clusterNotFormed)
        #expect(tombstones(fleet[1]).map(\.index) == [.zero])
        fleet.kill(fleet[1])
        try fleet.restart(fleet[1])
        #expect(fleet[1].kernel.endedClusters.isEmpty && fleet[1].kernel.deletedClusters.count == 1)
    }
}
