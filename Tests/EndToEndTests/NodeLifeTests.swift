import FlotillaClient
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// How a node process begins and ends, and what it says when it can't begin.
@Suite(.serialized) struct NodeLifeTests {
    private func withDirectory<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
        let directory = URL(filePath: NSTemporaryDirectory()).appending(path: "flotilla-life-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try await body(directory)
    }

    private func node(_ name: String, in directory: URL, flags: [String] = []) throws -> NodeProcess {
        try NodeProcess(
            name, port: 0, dataDirectory: directory.appending(path: "data"), directory: directory, peers: [],
            flags: ["--command-max-bytes", "1048576", "--wal-max-size-bytes", "8388608"] + flags)
    }

    @Test func `SIGTERM and SIGINT end a node in good order`() async throws {
        try await withDirectory { directory in
            for signal in [SIGTERM, SIGINT] {
                let node = try node("n1", in: directory)
                try await node.ready()
                node.signal(signal)
                #expect(try await node.ended() == 0)
            }
        }
    }

    @Test func `a second node on the same data directory is refused`() async throws {
        try await LocalCluster.with(1) { cluster in
            let intruder = try cluster.intruder(on: 1)
            #expect(try await intruder.ended() == 1)
            #expect(intruder.printed.contains("in use by another process"))
            #expect(intruder.printed.contains(cluster.dataDirectory(1).path()))
            #expect(cluster["n1"].isRunning)
        }
    }

    @Test func `another node's directory is refused`() async throws {
        try await withDirectory { directory in
            let first = try node("n1", in: directory)
            try await first.ready()
            try await first.killed()
            let second = try node("n2", in: directory)
            #expect(try await second.ended() == 1)
            #expect(second.printed.contains("n1") && second.printed.contains("n2"))
        }
    }

    @Test func `a taken port is refused`() async throws {
        try await LocalCluster.with(1) { cluster in
            try await withDirectory { directory in
                let second = try NodeProcess(
                    "n9", port: cluster["n1"].port, dataDirectory: directory.appending(path: "data"),
                    directory: directory, peers: [])
                #expect(try await second.ended() == 1)
                #expect(second.printed.contains("can't listen on 127.0.0.1:\(cluster["n1"].port)"))
            }
        }
    }

    @Test func `a server whose log is damaged is set aside with file and offset, and the node serves all others`()
        async throws
    {
        try await LocalCluster.with(1) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            let store = client.cluster(try ClusterName("kv"), of: KeyValue.self)
            for number in 0..<50 {
                _ = try await store.process(.put(KeyValue.Key("k\(number)"), ByteBuffer(string: "v"), ifIndex: nil))
            }
            _ = try await client.startCluster(ClusterName("other"), machine: "kv", nodes: cluster.names)
            let other = client.cluster(try ClusterName("other"), of: KeyValue.self)
            _ = try await other.process(.put(KeyValue.Key("key"), ByteBuffer(string: "value"), ifIndex: nil))
            try await cluster["n1"].killed()
            let file = cluster.dataDirectory(1).appending(path: "wal/0000000000000001.wal")
            // A byte of the twentieth command, with acknowledged batches behind it.
            var bytes = try Data(contentsOf: file)
            let place = try #require(bytes.range(of: Data("k20".utf8))).lowerBound
            bytes[place] ^= 0x40
            try bytes.write(to: file)
            try await cluster.restart("n1")
            let printed = try await eventually("the news of the damage") { () -> String? in
                let printed = cluster["n1"].printed
                return printed.contains("kv@n1") && printed.contains("is lost") ? printed : nil
            }
            #expect(printed.contains("0000000000000001.wal"))
            let offset = printed.split(separator: "at offset ").dropFirst().first?.prefix { $0.isNumber }
            let entry = try #require(offset.flatMap { Int($0) })
            #expect((entry..<entry + 64).contains(place), "the entry is named whose body is damaged: \(printed)")
            guard case .item(let item) = try await other.query(.get(KeyValue.Key("key"))) else {
                throw EndToEndError("the other cluster has lost its value")
            }
            #expect(item.value == ByteBuffer(string: "value"))
            // What is left of the log must not pass for all of it.
            await #expect(throws: FlotillaError.self) {
                try await store.query(.get(KeyValue.Key("k1")), timeout: .seconds(1))
            }
            await client.shutdown()
        }
    }

    @Test(arguments: [
        ["0000000000000001"], ["0000000000000002"], ["0000000000000001", "0000000000000002", "0000000000000003"],
    ])
    func `a log that lacks a file is refused, and never starts as a shorter one`(lost: [String]) async throws {
        try await LocalCluster.with(1) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            await client.shutdown()
            let log = cluster.dataDirectory(1).appending(path: "wal")
            _ = try await eventually("three files") {
                let names = try FileManager.default.contentsOfDirectory(atPath: log.path())
                return names.filter { $0.hasSuffix(".wal") }.count == 3 ? true : nil
            }
            // Ended in good order, so that the number of the third is noted too.
            cluster["n1"].signal(SIGTERM)
            try await cluster["n1"].ended()
            for name in lost { try FileManager.default.removeItem(at: log.appending(path: "\(name).wal")) }
            await #expect(throws: EndToEndError.self) { try await cluster.restart("n1") }
            #expect(try await cluster["n1"].ended() == 1)
            #expect(cluster["n1"].printed.contains("\(lost[0]).wal"), "\(cluster["n1"].printed)")
        }
    }

    @Test func `a log file that has become empty is refused`() async throws {
        try await LocalCluster.with(1) { cluster in
            let client = try await cluster.client()
            _ = try await client.startCluster(ClusterName("kv"), machine: "kv", nodes: cluster.names)
            await client.shutdown()
            try await cluster["n1"].killed()
            let file = cluster.dataDirectory(1).appending(path: "wal/0000000000000001.wal")
            try Data().write(to: file)
            await #expect(throws: EndToEndError.self) { try await cluster.restart("n1") }
            #expect(try await cluster["n1"].ended() == 1)
            #expect(cluster["n1"].printed.contains("0000000000000001.wal"))
        }
    }

    @Test(arguments: [
        (["--wal-max-size-bytes", "0"], "wal-max-size-bytes"), (["--wal-sync-method", "none"], "wal-sync-method"),
        (["--peer", "n2"], "peers"), (["--log-level", "loud"], "log-level"),
        (["--command-max-bytes", "99999999"], "command-max-bytes"),
        (["--wal-max-size-bytes", "4096"], "wal-max-size-bytes"),
        (["--wal-max-files-behind", "0"], "wal-max-files-behind"),
        (["--segment-max-entries", "16777217"], "segment-max-entries"),
        (["--segment-max-bytes", "4095"], "segment-max-bytes"), (["--flush-min-bytes", "0"], "flush-min-bytes"),
        (["--snapshot-interval-bytes", "64k"], "snapshot-interval-bytes"),
        (["--snapshot-interval-entries", "0"], "snapshot-interval-entries"),
        (["--log-tail-entries", "none"], "log-tail-entries"),
        (["--major-compaction-interval", "0"], "major-compaction-interval"),
    ])
    func `a setting that makes no sense is refused by name`(flags: [String], key: String) async throws {
        try await withDirectory { directory in
            let node = try NodeProcess(
                "n1", port: 0, dataDirectory: directory.appending(path: "data"), directory: directory, peers: [],
                flags: flags)
            #expect(try await node.ended() != 0)
            #expect(node.printed.contains(key), "\(node.printed)")
            #expect(node.printed.split(separator: "\n").count == 1, "\(node.printed)")
        }
    }

    @Test func `settings come from flags, then the environment, then a file`() async throws {
        try await withDirectory { directory in
            let file = directory.appending(path: "node.yaml")
            try "log-level: error\ncommand-max-bytes: 1048576\nwal-max-size-bytes: 8388608\n".write(
                to: file, atomically: true, encoding: .utf8)
            let node = try NodeProcess(
                "n1", port: 0, dataDirectory: directory.appending(path: "data"), directory: directory, peers: [],
                flags: ["--config", file.path()])
            try await node.ready()
            #expect(!node.printed.contains("recovered"), "the file's log level holds")
            try await node.killed()
            let loud = try NodeProcess(
                "n1", port: 0, dataDirectory: directory.appending(path: "data"), directory: directory, peers: [],
                flags: ["--config", file.path(), "--log-level", "info", "--log-format", "json"])
            try await loud.ready()
            #expect(loud.printed.contains("\"level\":\"info\""), "the flag goes before it")
            try await loud.killed()
            try "wal-max-sise-bytes: 1\n".write(to: file, atomically: true, encoding: .utf8)
            let wrong = try NodeProcess(
                "n1", port: 0, dataDirectory: directory.appending(path: "data"), directory: directory, peers: [],
                flags: ["--config", file.path()])
            #expect(try await wrong.ended() == 2)
            #expect(wrong.printed.contains("wal-max-sise-bytes"))
        }
    }

    @Test func `bytes that are not the protocol close the connection and nothing else`() async throws {
        try await LocalCluster.with(1) { cluster in
            let port = cluster["n1"].port
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            address.sin_port = port.bigEndian
            let connected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            #expect(connected == 0)
            let request = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
            #expect(write(descriptor, request, request.count) == request.count)
            var received: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1_024)
            while case let count = read(descriptor, &chunk, chunk.count), count > 0 { received += chunk[..<count] }
            #expect(received.count > 16 && received[4] == FrameType.error.rawValue, "an error frame, then the end")
            let client = try await cluster.client()
            #expect(try await client.clusters().isEmpty)
            await client.shutdown()
        }
    }
}
