import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Foundation
import Testing

/// Whole clusters that are deleted while a node is down.
@Suite(.serialized) struct DeletionTests {
    @Test func `a member that was down deletes itself when its node is back`() async throws {
        try await LocalCluster.with(3) { cluster in
            let endpoints = cluster.endpointList
            func start() async throws -> ToolResult {
                try await flotilla(
                    "cluster", "start", "kv", "--machine", "kv", "--members", "n1,n2,n3", endpoints: endpoints)
            }
            #expect(try await start().status == 0)
            for number in 0..<20 {
                #expect(try await flotilla("put", "k\(number)", "v", endpoints: endpoints).status == 0)
            }
            try await cluster["n3"].killed()
            let deleted = try await flotilla("--timeout", "20", "cluster", "delete", "kv", endpoints: endpoints)
            #expect(deleted.status == 0 && deleted.output == "deleted kv\n", "\(deleted.error)")
            try await isEmpty(cluster, ["n1", "n2"])
            try await cluster.restart("n3")
            try await isEmpty(cluster, ["n1", "n2", "n3"])
            let again = try await start()
            #expect(again.status == 0, "\(again.error)")
            #expect(try await flotilla("get", "k1", endpoints: endpoints).status == 1, "it is another cluster")
            let unknown = try await flotilla("cluster", "delete", "other", endpoints: endpoints)
            #expect(unknown.status == 1 && unknown.error.contains("unknown_cluster"))
        }
    }

    @Test func `without a majority nothing is deleted`() async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            let name = try ClusterName("kv")
            _ = try await client.startCluster(name, machine: "kv", nodes: cluster.names)
            let leader = try await leaderNode(of: client.cluster(name, of: KeyValue.self))
            let others = try cluster.names.map(\.description).filter { $0 != leader }
            for other in others { try await cluster[other].killed() }
            let result = try await flotilla(
                "--timeout", "1", "cluster", "delete", "kv", endpoints: cluster[leader].endpoint)
            #expect(result.status == 3 || result.status == 4, "\(result.output) \(result.error)")
            // The two elect a leader that has not got the entry, before the third is heard again.
            try await cluster[leader].killed()
            for other in others { try await cluster.restart(other) }
            let rest = others.map { cluster[$0].endpoint }.joined(separator: ",")
            _ = try await eventually("another leader") { () -> Bool? in
                try await flotilla("put", "a", "1", endpoints: rest).status == 0 ? true : nil
            }
            try await cluster.restart(leader)
            _ = try await eventually("the old leader follows") { () -> Bool? in
                let found = try await flotilla(
                    "get", "a", "--consistency", "local", endpoints: cluster[leader].endpoint)
                return found.output == "1\n" ? true : nil
            }
            await client.shutdown()
        }
    }

    /// Waits until some nodes host nothing, and have nothing left in their directories.
    private func isEmpty(_ cluster: LocalCluster, _ names: [String]) async throws {
        for name in names {
            _ = try await eventually("\(name) hosts nothing") { () -> Bool? in
                let list = try await flotilla("cluster", "list", endpoints: cluster[name].endpoint)
                return list.status == 0 && list.output.isEmpty ? true : nil
            }
            let number = try #require(Int(name.dropFirst()))
            let servers = cluster.dataDirectory(number).appending(path: "servers").path()
            _ = try await eventually("\(name) has no files of servers") { () -> Bool? in
                // A node that never had a file of a server has no such directory.
                guard FileManager.default.fileExists(atPath: servers) else { return true }
                return try FileManager.default.contentsOfDirectory(atPath: servers).isEmpty ? true : nil
            }
        }
    }
}

extension NodeProcess {
    fileprivate var endpoint: String { "127.0.0.1:\(port)" }
}
