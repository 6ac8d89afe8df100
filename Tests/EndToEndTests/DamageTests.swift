import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// Bytes that change on the disks of real nodes.
@Suite(.serialized) struct DamageTests {
    private func put(_ numbers: Range<Int>, in store: ClusterClient<KeyValue>, bytes: Int = 1) async throws {
        for number in numbers {
            let value = ByteBuffer(string: "value \(number) " + String(repeating: "v", count: bytes))
            _ = try await store.process(.put(KeyValue.Key("k\(number)"), value, ifIndex: nil))
        }
    }

    private func expectAll(_ numbers: Range<Int>, in store: ClusterClient<KeyValue>) async throws {
        for number in numbers {
            let answer = try await store.query(.get(KeyValue.Key("k\(number)")))
            guard case .item(let item) = answer else {
                Issue.record("k\(number) is gone")
                continue
            }
            #expect(String(buffer: item.value).hasPrefix("value \(number) "))
        }
    }

    /// Turns a bit of the file that holds some text.
    private func damage(_ text: String, in directory: URL, suffix: String) throws -> String? {
        let files = FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil)
        while let file = files?.nextObject() as? URL {
            guard file.lastPathComponent.hasSuffix(suffix) else { continue }
            var bytes = try Data(contentsOf: file)
            guard let place = bytes.range(of: Data(text.utf8))?.lowerBound else { continue }
            bytes[place] ^= 0x40
            try bytes.write(to: file)
            return file.lastPathComponent
        }
        return nil
    }

    @Test func `a damaged log costs one server, which is replaced; another of its node goes on`() async throws {
        try await LocalCluster.with(3) { cluster in
            let client = try await cluster.client()
            for name in ["a", "b"] {
                _ = try await client.startCluster(ClusterName(name), machine: "kv", nodes: cluster.names)
            }
            let first = client.cluster(try ClusterName("a"), of: KeyValue.self)
            let second = client.cluster(try ClusterName("b"), of: KeyValue.self)
            try await put(0..<50, in: first)
            try await put(100..<150, in: second)
            let leader = try await leaderNode(of: first)
            let victim = leader == "n1" ? 2 : 1
            try await cluster["n\(victim)"].killed()
            #expect(try damage("k20", in: cluster.dataDirectory(victim), suffix: ".wal") != nil)
            let old = try await first.members().configuration.members
            try await cluster.restart("n\(victim)")
            _ = try await eventually("a new member in place of the lost one") {
                let members = try await first.members().configuration.members
                return members.allSatisfy(\.isVoter) && members != old ? true : nil
            }
            let printed = cluster["n\(victim)"].printed
            #expect(printed.contains("0000000000000001.wal") && printed.contains("at offset "), "\(printed)")
            // With only the new member and one other there is still a majority that knows everything.
            let third = (1...3).first { $0 != victim && "n\($0)" != leader } ?? 3
            try await cluster["n\(third)"].killed()
            try await expectAll(0..<50, in: first)
            try await expectAll(100..<150, in: second)
            try await put(50..<60, in: first)
            await client.shutdown()
        }
    }

    @Test func `the only member of a cluster is lost with its log, and says where`() async throws {
        try await LocalCluster.with(1) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            try await put(0..<50, in: store)
            try await cluster["n1"].killed()
            #expect(try damage("k20", in: cluster.dataDirectory(1), suffix: ".wal") != nil)
            try await cluster.restart("n1")
            let overview = try await client.overview(of: NodeName("n1"))
            let server = try #require(overview.servers.first)
            #expect(server.state == "lost" && server.note.contains("0000000000000001.wal"), "\(server)")
            let refusal = await #expect(throws: FlotillaError.self) {
                try await store.process(
                    .put(KeyValue.Key("k"), ByteBuffer(string: "v"), ifIndex: nil), timeout: .seconds(1))
            }
            #expect(refusal?.code == .noLeader || refusal?.code == .unknownCluster, "\(String(describing: refusal))")
            await client.shutdown()
        }
    }

    @Test func `a damaged entry of a segment is fetched from another member`() async throws {
        let flags = ["--flush-min-bytes", "4096", "--snapshot-interval-bytes", "1073741824"]
        try await LocalCluster.with(3, flags: flags) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            // More than a log file, so that the first entries are in segments.
            try await put(0..<200, in: store, bytes: 64 << 10)
            let leader = try await leaderNode(of: store)
            let number = try #require(Int(leader.dropFirst()))
            _ = try await eventually("a damaged segment") {
                try damage("value 20 ", in: cluster.dataDirectory(number), suffix: ".seg")
            }
            let answer = try await eventually("the entry from another member") {
                do {
                    return try await store.query(.get(KeyValue.Key("k20")))
                } catch let error as FlotillaError where error.code == .busy {
                    return nil
                }
            }
            guard case .item(let item) = answer else {
                Issue.record("k20 is gone")
                return
            }
            #expect(String(buffer: item.value).hasPrefix("value 20 "))
            let printed = cluster[leader].printed
            #expect(printed.contains("is damaged: its entries are fetched"), "\(printed)")
            _ = try await eventually("the end of the repair") {
                let servers = try await client.overview(of: NodeName(leader)).servers
                let repaired = servers.first?.values.first { $0.name == "entries_repaired_total" }?.value ?? 0
                return repaired > 0 ? true : nil
            }
            #expect(try await leaderNode(of: store) == leader, "it goes on leading")
            await client.shutdown()
        }
    }
}
