import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@Suite("Finding the leader", .timeLimit(.minutes(1)))
struct LeaderTests {
    /// A follower that names a leader, or lets questions wait while there is none.
    static func follows(
        _ cluster: TestCluster, on node: TestNode, leader: @escaping @Sendable () -> TestNode?
    )
        -> TestNode.Script
    {
        { received in
            switch received {
            case .request(.locate(_, let waits, _)):
                let leader = leader()
                if waits, leader == nil { return [.hold(cluster.located(at: node, leader: cluster.nodes.last))] }
                return [.respond(cluster.located(at: node, leader: leader))]
            case .commands(_, let items):
                return [cluster.rejections(items, .notLeader, from: node, leader: leader())]
            default: return []
            }
        }
    }

    @Test("A client that knows only a follower goes to the leader")
    func redirected() async throws {
        try await Bench.with(nodes: 3, endpoints: 1) { cluster in
            let leader = cluster.nodes[2]
            return [
                Self.follows(cluster, on: cluster.nodes[0]) { leader },
                Self.follows(cluster, on: cluster.nodes[1]) { leader }, cluster.leads(Adder(), on: leader),
            ]
        } _: { bench in
            let result = try await bench.adder.process(4)
            #expect(result.leader?.description == "kv@n3")
            #expect(bench.nodes[0].commands.isEmpty)
            #expect(bench.nodes[1].commands.isEmpty)
        }
    }

    @Test("A leader that has lost its place sends the client to the next by its hint")
    func hinted() async throws {
        let deposed = Counted(false)
        try await Bench.with(nodes: 2) { cluster in
            let leads = cluster.leads(Adder(), on: cluster.nodes[0])
            let follows = Self.follows(cluster, on: cluster.nodes[0]) { cluster.nodes[1] }
            let second = cluster.leads(Adder(), on: cluster.nodes[1])
            return [
                { deposed.value ? follows($0) : leads($0) },
                { received in
                    if case .request = received, !deposed.value {
                        return [.respond(cluster.located(at: cluster.nodes[1], leader: cluster.nodes[0]))]
                    }
                    return second(received)
                },
            ]
        } _: { bench in
            let first = try await bench.adder.process(1)
            #expect(first.leader?.description == "kv@n1")
            deposed.change { $0 = true }
            let second = try await bench.adder.process(2)
            #expect(second.leader?.description == "kv@n2")
            #expect(bench.nodes[0].commands.count == 2)
            #expect(bench.nodes[1].commands.count == 1)
            // What is asked of the leader itself goes to the one that was hinted at, too.
            let members = try await bench.adder.members(timeout: .seconds(20))
            #expect(members.leader.description == "kv@n2")
        }
    }

    @Test("A command waits until a leader appears")
    func parked() async throws {
        try await Bench.with(nodes: 2) { cluster in
            [Self.follows(cluster, on: cluster.nodes[0]) { nil }, cluster.leads(Adder(), on: cluster.nodes[1])]
                .enumerated().map { position, script in
                    { received in
                        if position == 1, case .request(.locate) = received {
                            return [.hold(cluster.located(at: cluster.nodes[1], leader: cluster.nodes[1]))]
                        }
                        return script(received)
                    }
                }
        } _: { bench in
            let waiting = Task { try await bench.adder.process(6) }
            await bench.nodes[0].wait { received in
                received.contains { if case .request(.locate(_, true, _)) = $0 { true } else { false } }
            }
            #expect(bench.nodes[1].commands.isEmpty)
            bench.nodes[0].release()
            let result = try await waiting.value
            #expect(result.reply == 6)
            #expect(bench.nodes[0].commands.isEmpty)
        }
    }

    @Test("Without a leader before the deadline, nothing was appended and the error says so")
    func noLeader() async throws {
        try await Bench.with { cluster in
            [Self.follows(cluster, on: cluster.nodes[0]) { nil }]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1, timeout: .milliseconds(120)) } == .noLeader)
            #expect(bench.nodes[0].commands.isEmpty)
        }
    }

    @Test("After the leader's death the client goes to the one that follows it")
    func failover() async throws {
        let leader = Counted(0)
        try await Bench.with(nodes: 3) { cluster in
            cluster.nodes.enumerated().map { position, node in
                let leads = cluster.leads(Adder(), on: node)
                return { received in
                    if case .request(.locate) = received {
                        let term = Term(UInt64(leader.value + 1))
                        return [.respond(cluster.located(at: node, leader: cluster.nodes[leader.value], term: term))]
                    }
                    return position == leader.value
                        ? leads(received) : [cluster.rejections(received.commands, .notLeader, from: node)]
                }
            }
        } _: { bench in
            let first = try await bench.adder.process(1)
            #expect(first.leader?.description == "kv@n1")
            leader.change { $0 = 2 }
            await bench.nodes[0].stop()
            // The first attempt may have been on its way when the connection went down.
            var second = await code { _ = try await bench.adder.process(2) }
            if second == .outcomeUnknown { second = await code { _ = try await bench.adder.process(2) } }
            #expect(second == nil)
            let third = try await bench.adder.process(1)
            #expect(third.leader?.description == "kv@n3")
        }
    }

    @Test("A connection that was lost is made again")
    func reconnects() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            _ = try await bench.adder.process(1)
            bench.nodes[0].dropConnections()
            await bench.nodes[0].wait { received in
                received.filter { if case .hello = $0 { true } else { false } }.count == 2
            }
            let result = try await bench.adder.process(1)
            #expect(result.reply == 2)
        }
    }

    @Test("No node at all is an error that says so")
    func unreachable() async throws {
        let node = try await TestNode.start("n1")
        await node.stop()
        var configuration = ClientConfiguration()
        configuration.timeout = .milliseconds(200)
        let error = await code {
            _ = try await FlotillaClient.connect(to: [node.address], configuration: configuration)
        }
        #expect(error == .unreachable)
    }

    @Test("Members, leader, transfer, election, clusters and overview are asked for")
    func administration() async throws {
        try await Bench.with(nodes: 2, endpoints: 1) { cluster in
            [cluster.leads(Adder()), cluster.leads(Adder(), on: cluster.nodes[1])]
        } _: { bench in
            let members = try await bench.adder.members()
            #expect(members.configuration == bench.cluster.configuration)
            let leader = try await bench.adder.leader(waiting: true)
            #expect(leader?.description == "kv@n1")
            try await bench.adder.transferLeadership(to: bench.nodes[1].name)
            try await bench.adder.triggerElection(on: bench.nodes[1].name)
            #expect(
                bench.nodes[1].received.contains { received in
                    received.isElection(of: bench.cluster.uid(bench.nodes[1]))
                })
            let clusters = try await bench.client.clusters()
            #expect(clusters.map(\.name) == [bench.cluster.name])
            let overview = try await bench.client.overview(of: bench.nodes[0].name)
            #expect(overview.node.name == bench.nodes[0].name)
            let started = try await bench.client.startCluster(
                ClusterName("new"), machine: "kv", nodes: [bench.nodes[0].name, bench.nodes[1].name])
            #expect(started.leader.description == "new@n1")
        }
    }
}

extension Received {
    fileprivate func isElection(of server: ServerUID) -> Bool {
        if case .request(.triggerElection(server)) = self { true } else { false }
    }
}
