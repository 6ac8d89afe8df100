import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// A leader that is stopped and goes on later must do no harm.
@Suite(.serialized) struct PauseTests {
    @Test func `a stopped leader is replaced, and later neither loses a write nor reads a stale value`() async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            let key = KeyValue.Key("k")
            func put(_ value: String, through store: ClusterClient<KeyValue>) async throws {
                _ = try await store.process(.put(key, ByteBuffer(string: value), ifIndex: nil))
            }
            try await put("0", through: store)
            for round in 1...3 {
                let old = try await leaderNode(of: store)
                // Clients that know nobody but the one that will be stopped.
                let port = cluster[old].port
                let loyal = try await FlotillaClient.connect(to: [NodeAddress(host: "127.0.0.1", port: port)])
                let loyalStore = loyal.cluster(try ClusterName("kv"), of: KeyValue.self)
                try await put("\(round) before", through: loyalStore)

                cluster[old].signal(SIGSTOP)
                let others = cluster.nodes.filter { $0.name != old }.map {
                    NodeAddress(host: "127.0.0.1", port: $0.port)
                }
                let fresh = try await FlotillaClient.connect(to: others)
                let freshStore = fresh.cluster(try ClusterName("kv"), of: KeyValue.self)
                _ = try await eventually("another leader") { () -> Bool? in
                    try await put("\(round)", through: freshStore)
                    return true
                }
                // What is sent to the stopped one waits in its socket and is the first that it sees.
                async let late = loyalStore.query(.get(key), consistency: .consistent)
                async let lateWrite: Void = put("\(round) late", through: loyalStore)
                cluster[old].signal(SIGCONT)
                let answer = try await late
                guard case .item(let item) = answer else {
                    Issue.record("no value")
                    return
                }
                let seen = String(buffer: item.value)
                #expect(seen == "\(round)" || seen == "\(round) late", "read \(seen) after \(round) was acknowledged")
                do {
                    try await lateWrite
                    let now = try await freshStore.query(.get(key), consistency: .consistent)
                    guard case .item(let item) = now else {
                        Issue.record("no value")
                        return
                    }
                    #expect(String(buffer: item.value) == "\(round) late", "an acknowledged write is lost")
                } catch let error as FlotillaError where error.code == .outcomeUnknown {}
                await loyal.shutdown()
                await fresh.shutdown()
            }
            await client.shutdown()
        }
    }
}
