import FlotillaWire
import Foundation
import Testing

/// The command line against real nodes.
@Suite(.serialized) struct CommandLineTests {
    @Test func `a cluster is started, written, read and looked at`() async throws {
        try await LocalCluster.with(3) { cluster in
            let endpoints = cluster.endpointList
            func run(_ arguments: String...) async throws -> ToolResult {
                try await flotilla(arguments, endpoints: endpoints)
            }
            let start = try await flotilla(
                "cluster", "start", "kv", "--machine", "kv", "--members", "n1,n2,n3", endpoints: endpoints)
            #expect(start.status == 0, "\(start.error)")
            #expect(try await run("put", "a", "1").status == 0)
            #expect(try await run("put", "b", "2").status == 0)
            #expect(try await run("get", "a").output == "1\n")
            #expect(try await run("list").output == "a\t1\nb\t2\n")
            #expect(try await run("get", "a", "--consistency", "local").status <= 1)
            #expect(try await run("put", "a", "3", "--if-index=1").status == 1, "a conflict is the cluster's no")
            #expect(try await run("delete", "b").status == 0)
            let gone = try await run("get", "b")
            #expect(gone.status == 1 && gone.output.isEmpty && !gone.error.isEmpty)
            let leader = try await run("leader", "--wait")
            #expect(leader.output.hasPrefix("kv@n"))
            #expect(try await run("member", "list").output.split(separator: "\n").count == 3)
            #expect(try await run("cluster", "list").output.contains("kv"))
            #expect(try await run("overview").output.contains("commit_index"))
            let target = leader.output.contains("n1") ? "n2" : "n1"
            #expect(try await run("transfer-leadership", target).status == 0)
            #expect(try await run("leader", "--wait").output == "kv@\(target)\n")
            #expect(try await run("nonsense").status == 2)
        }
    }

    @Test func `a cluster grows by a node, loses its leader's member and takes it back`() async throws {
        try await LocalCluster.with(4) { cluster in
            let endpoints = cluster.endpointList
            func run(_ arguments: String...) async throws -> ToolResult {
                try await flotilla(arguments, endpoints: endpoints)
            }
            _ = try await run("cluster", "start", "kv", "--machine", "kv", "--members", "n1,n2,n3")
            #expect(try await run("put", "a", "1").status == 0)
            let added = try await run("member", "add", "kv@n4")
            #expect(added.status == 0, "\(added.error)")
            let four = try await run("member", "list").output
            #expect(four.split(separator: "\n").count == 4 && four.contains("kv@n4\tvoter"), "\(four)")
            let again = try await run("member", "add", "kv@n4")
            #expect(again.status == 1 && again.error.contains("already_member"), "\(again.error)")
            let leader = try await run("leader", "--wait").output.trimmingCharacters(in: .newlines)
            #expect(try await run("member", "remove", leader).status == 0)
            let next = try await run("leader", "--wait").output.trimmingCharacters(in: .newlines)
            #expect(next != leader && next.hasPrefix("kv@"))
            #expect(try await run("get", "a").output == "1\n")
            let gone = try await run("member", "remove", leader)
            #expect(gone.status == 1 && gone.error.contains("unknown_member"), "\(gone.error)")
            let back = try await run("member", "add", leader)
            #expect(back.status == 0, "\(back.error)")
            #expect(try await run("put", "a", "2").status == 0)
            #expect(try await run("member", "list").output.split(separator: "\n").count == 4)
        }
    }

    @Test func `the doctor looks at what a node has left`() async throws {
        try await LocalCluster.with(1) { cluster in
            let endpoints = cluster.endpointList
            _ = try await flotilla(
                "cluster", "start", "kv", "--machine", "kv", "--members", "n1", endpoints: endpoints)
            for number in 0..<20 { _ = try await flotilla("put", "k\(number)", "v", endpoints: endpoints) }
            let directory = cluster.dataDirectory(1).path()
            let running = try await run("flotilla", ["doctor", directory])
            #expect(running.status == 1 && running.error.contains("in use"), "\(running.error)")
            cluster["n1"].signal(SIGTERM)
            try await cluster["n1"].ended()
            let right = try await run("flotilla", ["doctor", directory])
            #expect(right.status == 0 && right.error.isEmpty, "\(right.output)")
            #expect(right.output.contains("1 server, "))
            let file = cluster.dataDirectory(1).appending(path: "wal/0000000000000001.wal")
            var bytes = try Data(contentsOf: file)
            let place = try #require(bytes.range(of: Data("k7".utf8))).lowerBound
            bytes[place] ^= 0x40
            try bytes.write(to: file)
            let wrong = try await run("flotilla", ["doctor", directory])
            #expect(wrong.status == 1 && wrong.output.contains("\(file.path()) at offset "), "\(wrong.output)")
            #expect(wrong.output.contains("kv@n1 of cluster kv"))
        }
    }

    @Test func `nobody there is status 4`() async throws {
        let result = try await flotilla("--timeout", "1", "get", "a", endpoints: "127.0.0.1:1")
        #expect(result.status == 4)
        #expect(result.output.isEmpty)
    }

    @Test func `an import is read back as it was`() async throws {
        try await LocalCluster.with(3) { cluster in
            let endpoints = cluster.endpointList
            _ = try await flotilla(
                "cluster", "start", "kv", "--machine", "kv", "--members", "n1,n2,n3", endpoints: endpoints)
            let lines = (0..<5_000).map { String(format: "key-%05d\tvalue %d", $0, $0 &* 7_919) }
            let file = cluster.directory.appending(path: "data.tsv")
            try (lines.joined(separator: "\n") + "\n").write(to: file, atomically: true, encoding: .utf8)
            let result = try await flotilla("import", file.path(), endpoints: endpoints)
            #expect(result.status == 0, "\(result.error)")
            #expect((result.output + result.error).contains("5000"))
            let list = try await flotilla("list", endpoints: endpoints)
            #expect(list.output == lines.joined(separator: "\n") + "\n")
            let page = try await flotilla("list", "--prefix", "key-0001", endpoints: endpoints)
            #expect(page.output.split(separator: "\n").count == 10)
        }
    }

    @Test func `the benchmark prints what it promises`() async throws {
        try await LocalCluster.with(1) { cluster in
            let endpoints = cluster.endpointList
            _ = try await flotilla(
                "cluster", "start", "kv", "--machine", "kv", "--members", "n1", endpoints: endpoints)
            let result = try await flotilla(
                "--output", "json", "bench", "--in-flight", "16", "--seconds", "0.3", "--warm-up", "0.1",
                endpoints: endpoints)
            #expect(result.status == 0, "\(result.error)")
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
            for key in ["throughput", "errors", "seconds", "in_flight", "value_size", "throttled"] {
                #expect(object[key] is NSNumber, "\(key)")
            }
            let latency = try #require(object["latency_ms"] as? [String: Any])
            for key in ["p50", "p90", "p99", "p999", "max"] { #expect(latency[key] is NSNumber, "\(key)") }
        }
    }
}
