import FlotillaClient
import FlotillaTestNode
import FlotillaWire
import Testing

@Suite("Deleting a cluster", .timeLimit(.minutes(1)))
struct DeletionTests {
    private static func requests(_ node: TestNode) -> Int {
        node.received.count { if case .request(.deleteCluster) = $0 { true } else { false } }
    }

    @Test("The leader is asked, and redirects are followed within one deadline")
    func redirect() async throws {
        let leader = Counted(0)
        try await Bench.with(nodes: 2) { cluster in
            cluster.nodes.enumerated().map { position, node in
                { received in
                    switch received {
                    case .request(.locate):
                        return [.respond(cluster.located(at: node, leader: cluster.nodes[leader.value]))]
                    case .request(.deleteCluster(let uid, let timeout)):
                        guard position == 1, uid == cluster.uid(node), timeout > 0 else {
                            leader.change { $0 = 1 }
                            return [.respond(.error(FlotillaError(.notLeader, "ask the other")))]
                        }
                        return [.respond(.done)]
                    default: return []
                    }
                }
            }
        } _: { bench in
            try await bench.client.deleteCluster(bench.cluster.name)
            #expect(Self.requests(bench.nodes[0]) == 1 && Self.requests(bench.nodes[1]) == 1)
        }
    }

    @Test("A cluster that is gone after a question without an answer counts as deleted")
    func goneAfterwards() async throws {
        let isAsked = Counted(false)
        try await Bench.with { cluster in
            [
                { received in
                    switch received {
                    case .request(.locate(let name, _, _)):
                        return isAsked.value
                            ? [.respond(.error(FlotillaError(.unknownCluster, "no \(name)")))]
                            : [.respond(cluster.located(at: cluster.nodes[0], leader: cluster.nodes[0]))]
                    case .request(.deleteCluster):
                        isAsked.change { $0 = true }
                        return [.close]
                    default: return []
                    }
                }
            ]
        } _: { bench in
            try await bench.client.deleteCluster(bench.cluster.name)
            #expect(Self.requests(bench.nodes[0]) == 1)
        }
    }

    @Test("Another cluster of the same name is left alone")
    func another() async throws {
        let isAsked = Counted(false)
        try await Bench.with { cluster in
            [
                { received in
                    var other = cluster
                    if isAsked.value { other.id = ClusterID(high: 9, low: 9) }
                    switch received {
                    case .request(.locate):
                        return [.respond(other.located(at: cluster.nodes[0], leader: cluster.nodes[0], term: 1))]
                    case .request(.deleteCluster):
                        isAsked.change { $0 = true }
                        return [.close]
                    default: return []
                    }
                }
            ]
        } _: { bench in
            try await bench.client.deleteCluster(bench.cluster.name)
            #expect(Self.requests(bench.nodes[0]) == 1)
        }
    }

    /// A node that knows where the cluster is, but of no leader, and of no other cluster.
    private static func leaderless(_ cluster: TestCluster) -> TestNode.Script {
        { received in
            guard case .request(.locate(let name, _, _)) = received else { return [] }
            return name == cluster.name
                ? [.respond(cluster.located(at: cluster.nodes[0], leader: nil))]
                : [.respond(.error(FlotillaError(.unknownCluster, "no such cluster")))]
        }
    }

    @Test("A cluster that nobody knows is an error")
    func unknown() async throws {
        try await Bench.with {
            [Self.leaderless($0)]
        } _: { bench in
            let other = try ClusterName("other")
            #expect(await code { try await bench.client.deleteCluster(other) } == .unknownCluster)
        }
    }

    @Test("Without a leader nobody is asked")
    func noLeader() async throws {
        try await Bench.with {
            [Self.leaderless($0)]
        } _: { bench in
            let found = await code {
                try await bench.client.deleteCluster(bench.cluster.name, timeout: .milliseconds(150))
            }
            #expect(found == .noLeader)
        }
    }

    @Test("Without an answer in time, nobody knows", arguments: [true, false])
    func timeout(_ answers: Bool) async throws {
        try await Bench.with { cluster in
            [
                { received in
                    switch received {
                    case .request(.locate):
                        return [.respond(cluster.located(at: cluster.nodes[0], leader: cluster.nodes[0]))]
                    case .request(.deleteCluster) where answers:
                        return [.respond(.error(FlotillaError(.timeout, "not committed yet")))]
                    default: return []
                    }
                }
            ]
        } _: { bench in
            let code = await code {
                try await bench.client.deleteCluster(bench.cluster.name, timeout: .milliseconds(200))
            }
            #expect(code == .timeout)
        }
    }
}
