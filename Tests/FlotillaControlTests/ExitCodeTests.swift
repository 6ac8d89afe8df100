import FlotillaTestNode
import FlotillaWire
import Testing

@Suite("Exit codes", .timeLimit(.minutes(1)))
struct ExitCodeTests {
    @Test(
        "Bad usage is 2, with the reason on standard error",
        arguments: [
            [], ["cluster"], ["nonsense"], ["put", "a"], ["get", "a", "--consistency", "sometimes"],
            ["get", "a", "--timeout", "0"], ["get", "a", "--timeout", "soon"], ["get", "a", "--endpoints", "here"],
            ["get", "a", "--cluster", "a/b"], ["put", "a", "b", "--if-index", "-1"], ["counter", "add", "many"],
            ["cluster", "start", "kv", "--members", "n1,n1"], ["cluster", "start", "kv"],
            ["bench", "--in-flight", "0"], ["bench", "--mix", "all"], ["bench", "--in-flight", "9000"],
            ["import", "/there/is/no/such/file"], ["get", "a", "--output", "xml"],
        ])
    func usage(_ arguments: [String]) async {
        let ran = await flotilla(arguments)
        #expect(ran.exitCode == 2)
        #expect(ran.output.isEmpty)
        #expect(!ran.errors.isEmpty)
    }

    @Test(
        "Help is no error and goes to standard output", arguments: [["--help"], ["bench", "--help"], ["help", "put"]])
    func help(_ arguments: [String]) async {
        let ran = await flotilla(arguments)
        #expect(ran.exitCode == 0)
        #expect(ran.output.contains("USAGE"))
        #expect(ran.errors.isEmpty)
    }

    @Test("An outcome that is unknown is 3")
    func unknown() async throws {
        try await withNode { cluster in
            let leads = cluster.leadsKeyValue()
            return { $0.commands.isEmpty ? leads($0) : [] }
        } _: { endpoint, node in
            let ran = await flotilla("put", "a", "b", "--timeout", "2", "--endpoints", endpoint)
            #expect(ran.exitCode == 3)
            #expect(ran.errors.contains("outcome_unknown"))
            #expect(node.commands.count == 1)
        }
    }

    @Test("No leader is 4")
    func noLeader() async throws {
        try await withNode { cluster in
            { received in
                guard case .request(.locate) = received else { return [] }
                return [.respond(cluster.located(at: cluster.nodes[0], leader: nil))]
            }
        } _: { endpoint, node in
            for command in [
                ["put", "a", "b"], ["leader"], ["leader", "--wait"], ["member", "list"], ["cluster", "delete", "kv"],
            ] {
                let ran = await flotilla(command + ["--timeout", "1", "--endpoints", endpoint])
                #expect(ran.exitCode == 4)
                #expect(ran.errors.contains("no_leader"))
            }
        }
    }

    @Test("No connection is 4")
    func noConnection() async throws {
        let node = try await TestNode.start("n1")
        await node.stop()
        let ran = await flotilla("get", "a", "--timeout", "0.2", "--endpoints", node.address.description)
        #expect(ran.exitCode == 4)
        #expect(ran.errors.contains("unreachable"))
    }

    @Test("A cluster that does not exist is 1")
    func unknownCluster() async throws {
        try await withNode { endpoint, _ in
            for command in [["get", "a"], ["leader"], ["leader", "--wait"], ["counter", "get"], ["member", "list"]] {
                let ran = await flotilla(command + ["--cluster", "other", "--endpoints", endpoint])
                #expect(ran.exitCode == 1)
                #expect(ran.errors.contains("unknown_cluster"))
            }
        }
    }
}
