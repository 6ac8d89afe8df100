import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@Suite("Commands and queries")
struct CommandTests {
    @Test("A command is applied once and comes back with index, term and leader")
    func simple() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            let result = try await bench.adder.process(5)
            #expect(result.reply == 5)
            #expect(result.index == 1)
            #expect(result.term == 1)
            #expect(result.leader?.description == "kv@n1")
            #expect(bench.nodes[0].commands.count == 1)
        }
    }

    @Test("Many commands at a time share few frames", .timeLimit(.minutes(1)))
    func batching() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            _ = try await bench.adder.process(1)
            let before = await bench.client.counters()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2_000 { group.addTask { _ = try await bench.adder.process(1) } }
                try await group.waitForAll()
            }
            let after = await bench.client.counters()
            #expect(after.sent - before.sent == 2_000)
            #expect(after.framesSent - before.framesSent < 1_000)
            let value = try await bench.adder.query(.init())
            #expect(value == 2_001)
        }
    }

    @Test("Queries of every consistency are answered", arguments: QueryConsistency.allCases)
    func queries(_ consistency: QueryConsistency) async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            _ = try await bench.adder.process(3)
            let value = try await bench.adder.query(.init(), consistency: consistency)
            #expect(value == 3)
            let asked = bench.nodes[0].received.contains { received in
                if case .queries(_, consistency, _) = received { true } else { false }
            }
            #expect(asked)
        }
    }

    @Test("A local query is answered by a node that knows no leader")
    func localWithoutLeader() async throws {
        try await Bench.with { cluster in
            let node = cluster.nodes[0]
            let leader = TestLeader(Adder(), of: cluster, on: node)
            return [
                { received in
                    if case .request(.locate(_, let waits, _)) = received {
                        return waits ? [] : [.respond(cluster.located(at: node, leader: nil))]
                    }
                    return leader.react(to: received)
                }
            ]
        } _: { bench in
            let value = try await bench.adder.query(.init(), consistency: .local)
            #expect(value == 0)
        }
    }

    @Test("A command that is longer than the limit is refused before it is sent")
    func tooLarge() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Blob())]
        } _: { bench in
            let blobs = bench.client.cluster(bench.cluster.name, of: Blob.self)
            let long = Blob.Bytes(buffer: ByteBuffer(repeating: 1, count: Limits.commandBytesMax))
            #expect(await code { _ = try await blobs.process(long) } == .tooLarge)
            #expect(bench.nodes[0].commands.isEmpty)
        }
    }

    @Test("Commands and replies of several megabytes go through")
    func large() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Blob())]
        } _: { bench in
            let blobs = bench.client.cluster(bench.cluster.name, of: Blob.self)
            for size in [100_000, 1 << 20, 5 << 20] {
                let bytes = Blob.Bytes(buffer: ByteBuffer(repeating: UInt8(size & 0x7f) | 1, count: size))
                let value = try await blobs.process(bytes).reply
                #expect(value == bytes)
            }
        }
    }

    @Test("A cluster that no node hosts is refused at once")
    func unknownCluster() async throws {
        try await Bench.with(nodes: 2) { cluster in
            cluster.nodes.map { cluster.leads(Adder(), on: $0) }
        } _: { bench in
            let other = bench.client.cluster(try ClusterName("other"), of: Adder.self)
            #expect(await code { _ = try await other.process(1, timeout: .seconds(60)) } == .unknownCluster)
        }
    }
}
