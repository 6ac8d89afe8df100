import FlotillaConsensus
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// How nodes find, know and watch each other.
@Suite struct PeerTests {
    @Test func `nodes that dial each other at once keep one connection`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 300)
        for node in fleet.nodes {
            #expect(node.kernel.peers.filter(\.isUp).count == 2)
            #expect(node.kernel.links.count == 2)
        }
    }

    @Test func `an idle cluster sends nothing but the nodes' pings, however many clusters there are`() throws {
        func frames(clusters: Int) throws -> [FrameType] {
            let fleet = try KernelFleet(3)
            fleet.run(milliseconds: 50)
            for number in 0..<clusters { try fleet.start("c\(number)", on: [1, 2, 3]) }
            fleet.run(milliseconds: 1_000)
            for node in fleet.nodes { node.sentToPeers = [] }
            fleet.run(milliseconds: 5_000)
            return fleet.nodes.flatMap(\.sentToPeers)
        }
        let few = try frames(clusters: 1)
        let many = try frames(clusters: 40)
        #expect(Set(many.map(\.rawValue)) == Set([FrameType.ping, .pong].map(\.rawValue)))
        #expect(abs(many.count - few.count) <= 12)
    }

    @Test func `a killed leader is replaced within a tenth of a second`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        fleet.run(milliseconds: 500)
        let leader = try #require(fleet.leader(of: "c"))
        fleet.kill(fleet[leader])
        let killed = fleet.now
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != leader } ?? false })
        #expect(fleet.now - killed <= .milliseconds(150))
    }

    @Test func `a leader that is cut off steps down and its followers elect another`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        for other in [1, 2, 3] where other != leader { fleet.cut(fleet[leader], fleet[other]) }
        #expect(fleet.run { fleet.server("c", on: leader)?.core.role != .leader })
        #expect(fleet.run { fleet.leader(of: "c") != nil })
        let new = try #require(fleet.leader(of: "c"))
        fleet.heal()
        fleet.run(milliseconds: 2_000)
        #expect(fleet.leader(of: "c") == new, "the return of the old one disturbs nobody")
        #expect(fleet.server("c", on: leader)?.core.leader == fleet.server("c", on: new)?.uid)
    }

    @Test func `a consistent query at a cut-off leader is never answered`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        for other in [1, 2, 3] where other != leader { fleet.cut(fleet[leader], fleet[other]) }
        let client = fleet.client(of: fleet[leader])
        let number = client.query(server.uid, .consistent)
        fleet.run(milliseconds: 3_000)
        #expect(client.results[number] == nil)
        #expect(client.rejections[number]?.code == .notLeader)
        #expect(client.number(client.query(server.uid, .local)) == 0)
    }

    @Test func `a follower answers a consistent query by the leader's word`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let server = try #require(fleet.server("c", on: leader))
        _ = fleet.client(of: fleet[leader]).add(42, to: server.uid)
        let follower = try #require(fleet.server("c", on: leader % 3 + 1))
        let client = fleet.client(of: fleet[leader % 3 + 1])
        #expect(client.number(client.query(follower.uid, .consistent)) == 42)
    }

    @Test func `whoever asks where the cluster is can wait for a leader`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let survivor = leader % 3 + 1
        let client = fleet.client(of: fleet[survivor])
        fleet.kill(fleet[leader])
        let number = client.ask(.locate(cluster: try ClusterName("c"), waits: true, timeoutMilliseconds: 5_000))
        #expect(client.responses[number] == nil, "the dead leader is not named")
        #expect(fleet.run { client.responses[number] != nil })
        guard case .located(let located)? = client.responses[number] else {
            Issue.record("not located")
            return
        }
        let new = try #require(fleet.leader(of: "c"))
        #expect(located.leader == fleet.server("c", on: new)?.uid)
    }

    @Test func `a transfer hands leadership over, and says when it can't`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let target = leader % 3 + 1
        let server = try #require(fleet.server("c", on: leader))
        let client = fleet.client(of: fleet[leader])
        func transfer(to node: String) throws -> ClientResponse? {
            let number = client.ask(
                .transferLeadership(server.uid, to: try NodeName(node), timeoutMilliseconds: 2_000))
            _ = fleet.run(atMost: 3_000) { client.responses[number] != nil }
            return client.responses[number]
        }
        guard case .error(let unknown)? = try transfer(to: "n9"), case .error(let own)? = try transfer(to: "n\(leader)")
        else {
            Issue.record("not refused")
            return
        }
        #expect(unknown.code == .unknownMember && own.code == .alreadyLeader)
        #expect(try transfer(to: "n\(target)") == .done)
        #expect(fleet.run { fleet.leader(of: "c") == target })
    }

    @Test func `an older incarnation, a second node of the same name and a node itself are refused`() throws {
        let fleet = try KernelFleet(2)
        fleet.run(milliseconds: 100)
        let kernel = fleet[1].kernel
        let other = NodeAddress(host: "host", port: 9)
        func refusal(_ id: NodeID, _ name: String, _ incarnation: UInt64) throws -> String? {
            kernel.refusal(
                of: Hello.Node(id: id, name: try NodeName(name), incarnation: Incarnation(incarnation), address: other)
            )?.message
        }
        #expect(try refusal(fleet[2].id, "n2", 0)?.contains("old copy") == true)
        #expect(try refusal(NodeID(high: 9, low: 9), "n1", 1)?.contains("named n1 too") == true)
        #expect(try refusal(fleet[1].id, "n1", 2)?.contains("itself") == true)
        #expect(try refusal(fleet[2].id, "n2", 2) == nil)
    }

    @Test func `nothing is believed of a node that counts as down, whatever still comes from it`() throws {
        let fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        fleet.run(milliseconds: 4_000)
        let leading = try #require(fleet.leader(of: "c"))
        let following = leading % 3 + 1
        let leader = try #require(fleet.server("c", on: leading))
        let follower = try #require(fleet.server("c", on: following))
        let peer = try #require(fleet[following].kernel.peersByID[fleet[leading].id])
        // As after a long silence, while the connection still stands.
        peer.isUp = false
        peer.lastAnswer = .zero
        fleet[following].kernel.step(follower, .peerDown(leader.uid))
        #expect(follower.core.leader == nil)
        _ = fleet.client(of: fleet[leading]).add(1, to: leader.uid)
        #expect(follower.core.leader == nil)
        // It answers again, so it is up again, and everything is sent once more.
        #expect(fleet.run { follower.core.leader == leader.uid && follower.applied == leader.applied })
    }
}
