import FlotillaTestNode
import FlotillaWire
import Testing

@Suite("Clusters, members and leaders", .timeLimit(.minutes(1)))
struct ClusterCommandTests {
    @Test("The leader is printed as server@node")
    func leader() async throws {
        try await withNode { endpoint, _ in
            #expect(await flotilla("leader", "--endpoints", endpoint).output == "kv@n1\n")
            #expect(await flotilla("leader", "--wait", "--endpoints", endpoint).output == "kv@n1\n")
            let json = await flotilla("leader", "--output", "json", "--endpoints", endpoint)
            #expect(json.output == #"{"leader":"kv@n1","term":1}"# + "\n")
        }
    }

    @Test("A cluster is started on the nodes that are named")
    func start() async throws {
        try await withNode { endpoint, node in
            let ran = await flotilla(
                "cluster", "start", "tally", "--machine", "counter", "--members", "n1,n2,n3", "--endpoints", endpoint)
            #expect(ran.exitCode == 0)
            #expect(ran.output == "started tally@n1 tally@n2 tally@n3, leader tally@n1\n")
            let asked = node.received.contains { received in
                guard case .request(.startCluster(let request)) = received else { return false }
                return request.machine == "counter" && request.nodes.map(\.description) == ["n1", "n2", "n3"]
            }
            #expect(asked)
        }
    }

    struct Cluster: Decodable, Equatable {
        var name: String
        var machine: String
        var leader: String?
        var members: [String]
    }

    @Test("Clusters and members are listed")
    func lists() async throws {
        try await withNode { endpoint, node in
            #expect(await flotilla("cluster", "list", "--endpoints", endpoint).output == "kv\tkv\tkv@n1\tkv@n1\n")
            let clusters: [Cluster] = try await flotilla(
                "cluster", "list", "--output", "json", "--endpoints", endpoint
            ).json()
            #expect(clusters == [Cluster(name: "kv", machine: "kv", leader: "kv@n1", members: ["kv@n1"])])
            let members = await flotilla("member", "list", "--endpoints", endpoint)
            #expect(members.output == "kv@n1\tvoter\tleader\t0\t\(node.address)\n")
        }
    }

    @Test("Leadership is transferred and elections are triggered")
    func elections() async throws {
        try await withNode { endpoint, node in
            #expect(await flotilla("transfer-leadership", "n1", "--endpoints", endpoint).output == "kv@n1\n")
            #expect(await flotilla("trigger-election", "n1", "--endpoints", endpoint).exitCode == 0)
            let other = await flotilla("trigger-election", "n9", "--endpoints", endpoint)
            #expect(other.exitCode == 1)
            #expect(other.errors.contains("unknown_member"))
        }
    }

    @Test("A cluster is deleted; 3 says that nobody knows whether it was")
    func deletion() async throws {
        try await withNode { endpoint, node in
            let ran = await flotilla("cluster", "delete", "kv", "--endpoints", endpoint)
            #expect(ran.exitCode == 0 && ran.output == "deleted kv\n")
            let json = await flotilla("cluster", "delete", "kv", "--output", "json", "--endpoints", endpoint)
            #expect(json.output == #"{"deleted":"kv"}"# + "\n")
            let other = await flotilla("cluster", "delete", "other", "--endpoints", endpoint)
            #expect(other.exitCode == 1 && other.errors.contains("unknown_cluster"))
            #expect(await flotilla("cluster", "delete", "a/b", "--endpoints", endpoint).exitCode == 2)
        }
        try await withNode { cluster in
            let leads = cluster.leadsKeyValue()
            return { if case .request(.deleteCluster) = $0 { [] } else { leads($0) } }
        } _: { endpoint, _ in
            let ran = await flotilla("cluster", "delete", "kv", "--timeout", "0.3", "--endpoints", endpoint)
            #expect(ran.exitCode == 3 && ran.errors.contains("timeout"))
        }
    }

    @Test("A snapshot is asked of the leader's member, or of that on a node")
    func snapshots() async throws {
        try await withNode { endpoint, node in
            #expect(await flotilla("snapshot", "kv", "--endpoints", endpoint).output == "ok\n")
            #expect(await flotilla("snapshot", "kv", "--node", "n1", "--endpoints", endpoint).exitCode == 0)
            let asked = node.received.filter { if case .request(.takeSnapshot) = $0 { true } else { false } }
            #expect(asked.count == 2)
            let other = await flotilla("snapshot", "kv", "--node", "n9", "--endpoints", endpoint)
            #expect(other.exitCode == 1 && other.errors.contains("unknown_member"))
        }
    }

    @Test("Members are added and removed")
    func changes() async throws {
        try await withNode { endpoint, node in
            func asked() -> [ClientRequest] {
                node.received.compactMap { message in
                    if case .request(let request) = message, case .changeMembers = request { request } else { nil }
                }
            }
            for arguments in [
                ["add", "kv@n1"], ["add", "kv@n4", "--non-voter"], ["add", "kv@n4", "--voter", "--no-wait"],
                ["remove", "kv@n2"],
            ] {
                let result = await flotilla(["member"] + arguments + ["--endpoints", endpoint])
                #expect(result.output == "ok\n", "\(result)")
            }
            let seen = asked().compactMap { request -> (MemberChange, Bool)? in
                if case .changeMembers(_, let change, let waits, _) = request { (change, waits) } else { nil }
            }
            let node4 = try NodeName("n4")
            #expect(
                seen.map(\.0) == [
                    .add(on: try NodeName("n1"), .promotable(target: .zero)), .add(on: node4, .nonVoter),
                    .add(on: node4, .voter), .remove(try ServerID("kv@n2")),
                ])
            #expect(seen.map(\.1) == [true, true, false, true])
            for arguments in [["add", "n4"], ["add", "kv@n4", "--voter", "--non-voter"], ["remove", "kv@"]] {
                #expect(await flotilla(["member"] + arguments + ["--endpoints", endpoint]).exitCode == 2)
            }
        }
    }

    struct Overview: Decodable {
        var node: String
        var values: [String: UInt64]
    }

    @Test("An overview shows what a node counts")
    func overview() async throws {
        try await withNode { endpoint, _ in
            let text = await flotilla("overview", "--endpoints", endpoint)
            #expect(text.output.contains("  wal_syncs_total 4\n"))
            let json: Overview = try await flotilla(
                "overview", "--node", "n1", "--output", "json", "--endpoints", endpoint
            ).json()
            #expect(json.node == "n1")
            #expect(json.values == ["wal_syncs_total": 4])
            #expect(await flotilla("overview", "--node", "n7", "--endpoints", endpoint).exitCode == 4)
        }
    }

    @Test("A counter counts, below zero too")
    func counter() async throws {
        try await withNode(machine: "counter", cluster: "tally", { $0.leadsCounter() }) { endpoint, _ in
            let options = ["--cluster", "tally", "--endpoints", endpoint]
            #expect(await flotilla(["counter", "add", "5"] + options).output == "5\n")
            #expect(await flotilla(["counter", "add", "-7"] + options).output == "-2\n")
            #expect(await flotilla(["counter", "get"] + options).output == "-2\n")
            let json = await flotilla(["counter", "get", "--output", "json"] + options)
            #expect(json.output == #"{"value":-2}"# + "\n")
        }
    }
}
