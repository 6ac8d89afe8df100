import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import Testing

@testable import FlotillaKernel

/// Members that join and leave a cluster that runs.
@Suite struct MembershipTests {
    private let cluster: ClusterName

    init() throws { cluster = try ClusterName("c") }

    /// A cluster on the first nodes of a fleet, and its leader's number.
    private func fleet(_ count: Int, members: Int) throws -> (KernelFleet, leader: Int) {
        let fleet = try KernelFleet(count)
        try fleet.start("c", on: Array(1...members))
        return (fleet, try #require(fleet.leader(of: "c")))
    }

    @discardableResult
    private func add(
        _ number: Int, _ role: MemberRole = .promotable(target: 0), in fleet: KernelFleet
    ) throws -> ServerUID {
        let leader = try #require(fleet.leader(of: "c"))
        let result = fleet[leader].kernel.addMember(to: cluster, on: fleet[number].name, role: role)
        return try result.get().server
    }

    private func remove(_ number: Int, in fleet: KernelFleet) throws {
        let leader = try #require(fleet.leader(of: "c"))
        let id = ServerID(cluster: cluster, node: fleet[number].name)
        _ = try fleet[leader].kernel.removeMember(id, from: cluster).get()
    }

    /// Waits until a node's server votes and has all that the leader has.
    private func isVoter(_ number: Int, in fleet: KernelFleet) -> Bool {
        guard let leader = fleet.leader(of: "c").flatMap({ fleet.server("c", on: $0) }),
            let server = fleet.server("c", on: number)
        else { return false }
        return server.core.committedConfiguration.isVoter(server.uid) && server.applied == leader.core.lastIndex
    }

    private func count(_ amount: Int64, in fleet: KernelFleet) throws -> Int64? {
        let leader = try #require(fleet.leader(of: "c"))
        let client = fleet.client(of: fleet[leader])
        return client.number(client.add(amount, to: try #require(fleet.server("c", on: leader)).uid)[0])
    }

    private func isQuiet(_ fleet: KernelFleet) -> Bool {
        for node in fleet.nodes { node.sentToPeers = [] }
        fleet.run(milliseconds: 5_000)
        let types = Set(fleet.nodes.flatMap(\.sentToPeers).map(\.rawValue))
        return types.isSubset(of: [FrameType.ping.rawValue, FrameType.pong.rawValue])
    }

    @Test func `a fourth member joins, catches up, votes and is silent when there is nothing to say`() throws {
        let (fleet, _) = try fleet(4, members: 3)
        #expect(try count(5, in: fleet) == 5)
        let uid = try add(4, in: fleet)
        #expect(fleet.run(atMost: 100) { isVoter(4, in: fleet) }, "nothing waits for a timer")
        #expect(fleet.server("c", on: 4)?.uid == uid)
        #expect(try count(1, in: fleet) == 6)
        #expect(fleet.run { isVoter(4, in: fleet) })
        let state = try #require(fleet[4].kernel.membership(of: cluster))
        #expect(state.isCommitted && state.configuration.voters.count == 4 && !state.isRemoved)
        #expect(isQuiet(fleet))
    }

    @Test func `a cluster moves from its nodes to others, one by one, and outlives the first`() throws {
        let (fleet, _) = try fleet(6, members: 3)
        for (old, new) in [(1, 4), (2, 5), (3, 6)] {
            _ = try count(1, in: fleet)
            try add(new, in: fleet)
            #expect(fleet.run { isVoter(new, in: fleet) })
            try remove(old, in: fleet)
            #expect(fleet.run { fleet.server("c", on: old)?.core.isRemoved == true })
            #expect(fleet.run { fleet.leader(of: "c") != nil && fleet.leader(of: "c") != old })
            fleet.kill(fleet[old])
        }
        let members = try #require(fleet[4].kernel.membership(of: cluster)).configuration.members
        #expect(members.map(\.id.node.description) == ["n4", "n5", "n6"])
        #expect(try count(0, in: fleet) == 3)
        for node in fleet.nodes[..<3] { try fleet.restart(node) }
        fleet.run(milliseconds: 5_000)
        #expect(fleet.leader(of: "c").map { $0 > 3 } ?? false)
        #expect((1...3).allSatisfy { fleet.server("c", on: $0)?.core.isRemoved == true }, "they are told again")
        #expect(isQuiet(fleet))
    }

    @Test func `a leader that is removed answers what it took, and hands over at once`() throws {
        let (fleet, leader) = try fleet(3, members: 3)
        let server = try #require(fleet.server("c", on: leader))
        let client = fleet.client(of: fleet[leader])
        for node in fleet.nodes { node.hasPromptDisk = false }
        let before = client.add(3, to: server.uid)[0]
        try remove(leader, in: fleet)
        fleet.settle()
        let after = client.add(4, to: server.uid)[0]
        #expect(client.rejections[after]?.code == .transferring)
        for node in fleet.nodes {
            node.hasPromptDisk = true
            fleet.sync(node)
        }
        fleet.settle()
        #expect(client.number(before) == 3)
        #expect(server.core.isRemoved)
        #expect(fleet.leader(of: "c").map { $0 != leader } ?? false, "without any time passing")
        #expect(try count(1, in: fleet) == 4)
        #expect(isQuiet(fleet))
    }

    @Test func `a removed leader whose farewell is lost with its node is replaced`() throws {
        let (fleet, leader) = try fleet(3, members: 3)
        for node in fleet.nodes { node.hasPromptDisk = false }
        try remove(leader, in: fleet)
        fleet.settle()
        fleet.kill(fleet[leader])
        for node in fleet.nodes where node.isRunning {
            node.hasPromptDisk = true
            fleet.sync(node)
        }
        #expect(fleet.run(atMost: 3_000) { fleet.leader(of: "c") != nil })
    }

    @Test func `changes that can't be are refused with a code`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        let kernel = fleet[leader].kernel
        func code(_ number: Int, _ name: String, _ role: MemberRole = .voter) throws -> FlotillaError.Code? {
            let result = fleet[number].kernel.addMember(to: cluster, on: try NodeName(name), role: role)
            if case .failure(let error) = result { return error.code }
            return nil
        }
        #expect(try code(leader % 3 + 1, "n4") == .notLeader)
        #expect(try code(4, "n4") == .unknownCluster)
        #expect(try code(leader, "n9") == .unreachable)
        #expect(try code(leader, "n\(leader)") == .alreadyMember)
        let stranger = try ServerID("c@n4")
        if case .failure(let error) = kernel.removeMember(stranger, from: cluster) {
            #expect(error.code == .unknownMember)
        } else {
            Issue.record("removed a stranger")
        }
        fleet[leader % 3 + 1].hasPromptDisk = false
        fleet[(leader + 1) % 3 + 1].hasPromptDisk = false
        #expect(try code(leader, "n4", .nonVoter) == nil)
        #expect(try code(leader, "n4") == .clusterChangeNotPermitted)
        #expect(kernel.membership(of: cluster)?.isCommitted == false)
    }

    @Test func `a member whose node was away is invited once it is there`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        for other in 1...3 { fleet.cut(fleet[other], fleet[4]) }
        try add(4, in: fleet)
        fleet.run(milliseconds: 500)
        fleet.heal()
        #expect(fleet.run { isVoter(4, in: fleet) })
        #expect(fleet.leader(of: "c") == leader)
    }

    @Test func `a member that lost its invitation is invited by whoever leads next`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        fleet.cut(fleet[leader], fleet[4])
        try add(4, in: fleet)
        fleet.settle()
        fleet.kill(fleet[leader])
        #expect(fleet.run { isVoter(4, in: fleet) })
        #expect(fleet.leader(of: "c").map { $0 != leader } ?? false)
    }

    @Test func `a member without whose vote nobody can lead is invited all the same`() throws {
        let (fleet, _) = try fleet(2, members: 1)
        // The only member counts the new one at once, and it is gone before it has heard of that.
        try add(2, .voter, in: fleet)
        fleet.kill(fleet[2])
        #expect(fleet.run { fleet.leader(of: "c") == nil })
        try fleet.restart(fleet[2])
        #expect(fleet.run { isVoter(2, in: fleet) })
    }

    private func ask(
        _ change: MemberChange, waits: Bool, of number: Int, _ client: TestClient, in fleet: KernelFleet
    ) throws -> UInt64 {
        let server = try #require(fleet.server("c", on: number)).uid
        return client.ask(.changeMembers(server, change, waits: waits, timeoutMilliseconds: 5_000))
    }

    private func error(_ correlation: UInt64, _ client: TestClient) -> FlotillaError? {
        if case .error(let error)? = client.response(correlation) { error } else { nil }
    }

    @Test func `a client's change is answered once it is committed`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        let client = fleet.client(of: fleet[leader])
        let others = (1...3).filter { $0 != leader }
        for other in others { fleet.cut(fleet[leader], fleet[other]) }
        let add = MemberChange.add(on: fleet[4].name, .nonVoter)
        let quick = try ask(add, waits: false, of: leader, client, in: fleet)
        guard case .memberChanged(let changed)? = client.response(quick) else {
            Issue.record("it is not answered although it is in the log")
            return
        }
        let server = try #require(fleet.server("c", on: leader))
        #expect(changed.index == server.core.configurationIndex && changed.index > server.core.commitIndex)
        #expect(changed.member == server.core.configuration.members.last?.uid)
        let next = try ask(
            .remove(ServerID(cluster: cluster, node: fleet[4].name)), waits: true, of: leader, client, in: fleet)
        #expect(error(next, client)?.code == .clusterChangeNotPermitted, "one change at a time")
        fleet.heal()
        #expect(fleet.run { fleet.server("c", on: leader)?.core.membershipRefusal == nil })
        let last = try ask(
            .remove(ServerID(cluster: cluster, node: fleet[4].name)), waits: true, of: leader, client, in: fleet)
        #expect(fleet.run { client.response(last) != nil })
        guard case .memberChanged(let removed)? = client.response(last) else {
            Issue.record("\(String(describing: client.response(last)))")
            return
        }
        #expect(removed.member == changed.member && removed.index <= server.core.commitIndex)
    }

    @Test func `a client is told why its change is refused`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        let client = fleet.client(of: fleet[leader])
        let stranger = try NodeName("nowhere")
        let expected: [(MemberChange, FlotillaError.Code)] = [
            (.add(on: fleet[leader].name, .voter), .alreadyMember), (.add(on: stranger, .voter), .unreachable),
            (.remove(ServerID(cluster: cluster, node: fleet[4].name)), .unknownMember),
        ]
        for (change, code) in expected {
            #expect(error(try ask(change, waits: true, of: leader, client, in: fleet), client)?.code == code)
        }
        let follower = leader % 3 + 1
        let other = fleet.client(of: fleet[follower])
        let refusal = error(
            try ask(.add(on: fleet[4].name, .nonVoter), waits: true, of: follower, other, in: fleet), other)
        #expect(refusal?.code == .notLeader && refusal?.leader?.node == fleet[leader].name)
    }

    @Test func `a change that is not committed in time is of unknown outcome, and one that is overwritten is not`()
        throws
    {
        let (fleet, leader) = try fleet(4, members: 3)
        let client = fleet.client(of: fleet[leader])
        for other in 1...4 where other != leader { fleet.cut(fleet[leader], fleet[other]) }
        let server = try #require(fleet.server("c", on: leader)).uid
        let late = client.ask(
            .changeMembers(server, .add(on: fleet[4].name, .nonVoter), waits: true, timeoutMilliseconds: 50))
        #expect(fleet.run { client.response(late) != nil })
        #expect(error(late, client)?.code == .outcomeUnknown)
        fleet.heal()
        #expect(
            fleet.run {
                fleet.leader(of: "c").flatMap { fleet.server("c", on: $0) }.map { $0.core.membershipRefusal == nil }
                    ?? false
            })
        let second = try #require(fleet.leader(of: "c"))
        let next = fleet.client(of: fleet[second])
        for other in 1...4 where other != second { fleet.cut(fleet[second], fleet[other]) }
        let other = MemberChange.add(on: fleet[4].name, .promotable(target: .zero))
        let uid = try #require(fleet.server("c", on: second)).uid
        let lost = next.ask(.changeMembers(uid, other, waits: true, timeoutMilliseconds: 60_000))
        #expect(fleet.run { (1...3).contains { $0 != second && fleet.server("c", on: $0)?.core.role == .leader } })
        fleet.heal()
        #expect(fleet.run { next.response(lost) != nil })
        #expect(error(lost, next)?.code == .overwritten)
    }

    @Test func `no voter is added on a node that is not connected`() throws {
        let (fleet, leader) = try fleet(2, members: 1)
        fleet.cut(fleet[1], fleet[2])
        let result = fleet[leader].kernel.addMember(to: cluster, on: fleet[2].name, role: .voter)
        guard case .failure(let error) = result else {
            Issue.record("it was added")
            return
        }
        #expect(error.code == .unreachable)
        #expect(throws: Never.self) { try add(2, .nonVoter, in: fleet) }
    }

    @Test func `two nodes that miss each other's member for a moment do not set it aside in turn for ever`() throws {
        let (fleet, leader) = try fleet(3, members: 2)
        try add(3, .nonVoter, in: fleet)
        fleet.run(milliseconds: 200)
        let (left, right) = (fleet[leader], fleet[3])
        // Each has just been told by the other that it does not share the cluster.
        for (node, other) in [(left, right), (right, left)] {
            let server = try #require(node.kernel.serversByName[cluster])
            let peer = try #require(node.kernel.peersByID[other.id])
            node.kernel.setAside(server, on: peer)
        }
        fleet.run(milliseconds: 3_000)
        #expect(isQuiet(fleet))
        #expect(left.kernel.peersByID[right.id]?.sharedServers.count == 1)
        #expect(right.kernel.peersByID[left.id]?.sharedServers.count == 1)
    }

    @Test func `a joined member comes back from its disk as what it was`() throws {
        let (fleet, _) = try fleet(4, members: 3)
        let uid = try add(4, in: fleet)
        #expect(fleet.run { isVoter(4, in: fleet) })
        fleet.kill(fleet[4])
        #expect(try count(7, in: fleet) == 7)
        try fleet.restart(fleet[4])
        #expect(fleet.run { isVoter(4, in: fleet) })
        #expect(fleet.server("c", on: 4)?.uid == uid)
        let leader = try #require(fleet.leader(of: "c"))
        fleet.kill(fleet[leader])
        #expect(fleet.run { fleet.leader(of: "c") != nil })
        #expect(try count(1, in: fleet) == 8)
    }

    @Test func `a wiped node is another node: its old member is removed, and a new one joins`() throws {
        let (fleet, leader) = try fleet(3, members: 3)
        let lost = leader % 3 + 1
        let old = try #require(fleet.server("c", on: lost)).uid
        fleet.kill(fleet[lost])
        try fleet.wipe(fleet[lost], as: NodeID(high: 7, low: 99))
        fleet.run(milliseconds: 2_000)
        #expect(fleet.server("c", on: lost) == nil, "it must not come back as if it had never voted")
        #expect(throws: FlotillaError.self) { try add(lost, in: fleet) }
        try remove(lost, in: fleet)
        fleet.run(milliseconds: 100)
        let new = try add(lost, in: fleet)
        #expect(new != old)
        #expect(fleet.run { isVoter(lost, in: fleet) })
        #expect(fleet.server("c", on: lost)?.uid == new)
    }

    @Test func `a node that was removed joins again with another storage`() throws {
        let (fleet, leader) = try fleet(3, members: 3)
        let other = leader % 3 + 1
        let old = try #require(fleet.server("c", on: other)).uid
        try remove(other, in: fleet)
        fleet.settle()
        #expect(fleet.server("c", on: other)?.core.isRemoved == false, "nobody has told it")
        let new = try add(other, in: fleet)
        #expect(fleet.run(atMost: 100) { isVoter(other, in: fleet) }, "it is told when it refuses, and asked again")
        #expect(fleet.server("c", on: other)?.uid == new && fleet[other].kernel.serversByUID[old] == nil)
        fleet.kill(fleet[other])
        try fleet.restart(fleet[other])
        #expect(fleet.run { isVoter(other, in: fleet) })
        #expect(fleet[other].kernel.serversByUID[old] == nil)
        #expect(try count(2, in: fleet) == 2)
    }

    @Test(arguments: [MemberRole.voter, .nonVoter])
    func `a member that was removed from a living node is told, and both sides fall silent`(role: MemberRole) throws {
        let (fleet, _) = try fleet(4, members: 3)
        try add(4, role, in: fleet)
        fleet.run(milliseconds: 500)
        try remove(4, in: fleet)
        #expect(fleet.run(atMost: 1_500) { fleet.server("c", on: 4)?.core.isRemoved == true })
        #expect(isQuiet(fleet))
        #expect(fleet.server("c", on: 4)?.members.isEmpty == true)
    }

    /// As long as nobody leads, nobody is sure enough to tell one whose log is longer than what is committed.
    @Test func `a removed member that can't be told costs a list now and then, not all the time`() throws {
        let (fleet, out) = try fleet(3, members: 3)
        let client = fleet.client(of: fleet[out])
        for other in 1...3 where other != out { fleet.cut(fleet[out], fleet[other]) }
        for _ in 0..<20 { _ = client.add(1, to: try #require(fleet.server("c", on: out)).uid) }
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != out } ?? false })
        fleet.run(milliseconds: 100)
        try remove(out, in: fleet)
        fleet.settle()
        let next = try #require(fleet.leader(of: "c"))
        let left = try #require((1...3).first { $0 != out && $0 != next })
        #expect(fleet.server("c", on: next)?.core.membershipRefusal == nil, "the removal is committed")
        fleet.kill(fleet[left])
        fleet.run(milliseconds: 1_000)
        fleet.heal()
        fleet.run(milliseconds: 1_000)
        #expect(fleet.leader(of: "c") == nil && fleet.server("c", on: out)?.core.isRemoved == false)
        for node in fleet.nodes { node.sentToPeers = [] }
        fleet.run(milliseconds: 10_000)
        let lists = fleet.nodes.flatMap(\.sentToPeers).filter { $0 == .leaderships }.count
        #expect((1...60).contains(lists), "\(lists) lists in ten seconds")
    }

    @Test func `a joiner whose change was lost gives way to the next one`() throws {
        let (fleet, leader) = try fleet(4, members: 3)
        let others = (1...3).filter { $0 != leader }
        for other in others { fleet.cut(fleet[leader], fleet[other]) }
        let lost = try add(4, .voter, in: fleet)
        fleet.settle()
        #expect(fleet.server("c", on: 4)?.uid == lost)
        #expect(fleet.run { others.contains { fleet.server("c", on: $0)?.core.role == .leader } })
        let next = try #require(others.first { fleet.server("c", on: $0)?.core.role == .leader })
        fleet.heal()
        fleet.run(milliseconds: 1_000)
        #expect(fleet.leader(of: "c") == next)
        let second = try add(4, in: fleet)
        #expect(second != lost)
        #expect(fleet.run { isVoter(4, in: fleet) })
        #expect(fleet.server("c", on: 4)?.uid == second)
        #expect(isQuiet(fleet))
    }
}
