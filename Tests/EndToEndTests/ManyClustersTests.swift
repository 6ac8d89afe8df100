import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import Testing

/// Many clusters on few nodes: they start, elect, take commands, and are all there after a kill.
@Suite(.serialized) struct ManyClustersTests {
    private func check(nodes: Int, clusters: Int) async throws {
        try await LocalCluster.with(nodes) { cluster in
            let client = try await cluster.client(timeout: .seconds(60))
            let names = try cluster.names
            let began = ContinuousClock.now
            try await forEach(clusters) { number in
                _ = try await client.startCluster(ClusterName("c\(number)"), machine: "counter", nodes: names)
            }
            let started = ContinuousClock.now
            try await add(clusters, client: client, expecting: 1)
            print("\(clusters) clusters of \(nodes): started in \(started - began), written to in \(.now - started)")
            #expect(try await client.clusters().count == clusters)
            try await cluster.killAndRestartAll()
            let restarted = ContinuousClock.now
            try await add(clusters, client: client, expecting: 2)
            print("after the restart all took a command within \(ContinuousClock.now - restarted)")
            await client.shutdown()
        }
    }

    private func add(_ clusters: Int, client: FlotillaClient, expecting: Int64) async throws {
        try await forEach(clusters) { number in
            let counter = client.cluster(try ClusterName("c\(number)"), of: Counter.self)
            let result = try await counter.process(Counter.Command(amount: 1))
            #expect(result.reply == expecting, "cluster c\(number)")
        }
    }

    /// A few at a time, so that the clients' side is no storm.
    private func forEach(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...count {
                if number > 64 { try await group.next() }
                group.addTask { try await body(number) }
            }
            try await group.waitForAll()
        }
    }

    @Test func `a thousand clusters of one member live on one node`() async throws {
        try await check(nodes: 1, clusters: 1_000)
    }

    @Test func `two hundred clusters of three members live on three nodes`() async throws {
        try await check(nodes: 3, clusters: 200)
    }
}
