import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Some node processes with data directories of their own, all gone when the test ends.
final class LocalCluster {
    let directory: URL
    private(set) var nodes: [NodeProcess] = []
    private let ports: [UInt16]
    private let flags: [String]
    /// Where the data of the first nodes is that are on disks of their own.
    private(set) var smallDisks: [SmallDisk] = []

    /// Starts that many nodes and waits until they serve.
    ///
    /// - Parameter smallDisks: how many MiB the file systems hold on which the first nodes have their data, for each of
    ///   these nodes.
    static func with<Value>(
        _ count: Int, flags: [String] = [], smallDisks: [Int] = [], _ body: (LocalCluster) async throws -> Value
    ) async throws -> Value {
        let cluster = try LocalCluster(count, flags: flags)
        do {
            for (position, mebibytes) in smallDisks.enumerated() {
                let directory = cluster.dataDirectory(position + 1)
                try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
                cluster.smallDisks.append(try await SmallDisk(mebibytes: mebibytes, at: directory))
            }
            for number in 1...count { cluster.nodes.append(try cluster.process(number)) }
            for node in cluster.nodes { try await node.ready() }
            let value = try await body(cluster)
            await cluster.remove()
            return value
        } catch {
            for node in cluster.nodes { print("--- \(node.name)\n\(node.printed.suffix(2_000))") }
            await cluster.remove()
            throw error
        }
    }

    private init(_ count: Int, flags: [String]) throws {
        directory = URL(filePath: NSTemporaryDirectory()).appending(path: "flotilla-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        // Small files: what is tested is not how fast a disk fills.
        self.flags = ["--command-max-bytes", "1048576", "--wal-max-size-bytes", "8388608"] + flags
        ports = try Self.freePorts(count)
    }

    /// Ports that were free a moment ago, different ones. They are below those that the system gives to connections, so
    /// that none of these takes one before its node does.
    private static func freePorts(_ count: Int) throws -> [UInt16] {
        var held: [Int32] = []
        defer { for descriptor in held { close(descriptor) } }
        var ports: [UInt16] = []
        for _ in 0..<1_000 where ports.count < count {
            let port = UInt16.random(in: 10_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw EndToEndError("no socket: \(errno)") }
            held.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if bound { ports.append(port) }
        }
        guard ports.count == count else { throw EndToEndError("no free ports") }
        return ports
    }

    private func process(_ number: Int, extra: [String] = []) throws -> NodeProcess {
        let peers = ports.enumerated().filter { $0.offset != number - 1 }.map { ("n\($0.offset + 1)", $0.element) }
        return try NodeProcess(
            "n\(number)", port: ports[number - 1], dataDirectory: dataDirectory(number), directory: directory,
            peers: peers, flags: flags + extra,
            launcher: number <= smallDisks.count ? smallDisks[number - 1].launcher : [])
    }

    func dataDirectory(_ number: Int) -> URL { directory.appending(path: "data-n\(number)") }

    subscript(_ name: String) -> NodeProcess {
        guard let node = nodes.first(where: { $0.name == name }) else { preconditionFailure("no node \(name)") }
        return node
    }

    var endpoints: [NodeAddress] { ports.map { NodeAddress(host: "127.0.0.1", port: $0) } }
    var endpointList: String { endpoints.map(\.description).joined(separator: ",") }

    /// Starts a node again that has ended.
    func restart(_ name: String) async throws {
        try begin(name)
        try await self[name].ready()
    }

    /// Starts a node again that has ended, without waiting for it.
    func begin(_ name: String) throws {
        guard let position = nodes.firstIndex(where: { $0.name == name }) else { return }
        nodes[position] = try process(position + 1)
    }

    /// Every line that any process of any node has printed.
    var printedLines: [String] {
        get throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.path())
            return try names.sorted().filter { $0.hasSuffix(".out") }.flatMap { name in
                // What a killed process has printed may end within a character.
                let text = String(decoding: try Data(contentsOf: directory.appending(path: name)), as: UTF8.self)
                return text.split(separator: "\n").map(String.init)
            }
        }
    }

    /// Kills every node at once and starts them again.
    func killAndRestartAll() async throws {
        for node in nodes { node.signal(SIGKILL) }
        for node in nodes { try await node.ended() }
        for position in nodes.indices { nodes[position] = try process(position + 1) }
        for node in nodes { try await node.ready() }
    }

    /// Runs a second process on the data directory of a node.
    func intruder(on number: Int) throws -> NodeProcess {
        try NodeProcess(
            "n\(number)", port: 0, dataDirectory: dataDirectory(number), directory: directory, peers: [],
            flags: flags)
    }

    private func remove() async {
        for node in nodes where node.isRunning { node.signal(SIGKILL) }
        for node in nodes { _ = try? await node.ended() }
        for disk in smallDisks { disk.remove() }
        try? FileManager.default.removeItem(at: directory)
    }

    // MARK: Clients

    /// A client of all nodes.
    func client(timeout: Duration = .seconds(15)) async throws -> FlotillaClient {
        var configuration = ClientConfiguration()
        configuration.timeout = timeout
        return try await FlotillaClient.connect(to: endpoints, configuration: configuration)
    }

    var names: [NodeName] {
        get throws { try nodes.map { try NodeName($0.name) } }
    }
}

/// The name of the node that leads a cluster.
func leaderNode<Machine>(of cluster: ClusterClient<Machine>) async throws -> String {
    guard let leader = try await cluster.leader(waiting: true) else { throw EndToEndError("no leader") }
    return leader.node.description
}
