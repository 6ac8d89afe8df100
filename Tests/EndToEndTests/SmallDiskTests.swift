import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Synchronization
import Testing

/// A node whose disk is full refuses commands, does everything else, and goes on by itself once there is room.
@Suite(.serialized, .enabled(if: SmallDisk.isPossible, "no file system of one's own can be mounted here"))
struct SmallDiskTests {
    private static let flags = [
        "--command-max-bytes", "65536", "--wal-max-size-bytes", "1048576", "--snapshot-interval-bytes", "1048576",
        "--flush-min-bytes", "16384", "--log-tail-entries", "64",
    ]

    @Test func `a full disk is refused, survived and left behind`() async throws {
        try await run(smallDisks: [64]) { scene in
            try await scene.fill()
            try await scene.observeRefusal(by: "n1")
            // A leader whose disk has room takes commands; the follower without any does not stop it.
            for store in scene.load.stores.prefix(4) { try await store.lead(on: NodeName("n2")) }
            try await scene.observeWrites("writes through another leader")
            try await scene.observeRefusal(by: "n1")
        }
    }

    @Test func `a node does not start on a full disk, and says so`() async throws {
        try await run(smallDisks: [64]) { scene in
            try await scene.fill()
            try await scene.cluster["n1"].killed()
            try scene.cluster.begin("n1")
            #expect(try await scene.cluster["n1"].ended() == 1)
            #expect(scene.cluster["n1"].printed.contains("No space left on device"))
            // What the others do without it is theirs.
            try await scene.observeWrites("writes while it is away")
            try scene.makeRoom()
            try await scene.cluster.restart("n1")
        }
    }

    @Test func `all disks are full at once`() async throws {
        try await run(smallDisks: [64, 64, 64]) { scene in
            try await scene.fill()
            for node in ["n1", "n2", "n3"] { try await scene.observeRefusal(by: node) }
        }
    }

    /// Runs something with disks that are full in the course of it, makes room, and looks whether all is as before.
    private func run(smallDisks: [Int], _ body: (FullDiskScene) async throws -> Void) async throws {
        try await LocalCluster.with(3, flags: Self.flags, smallDisks: smallDisks) { cluster in
            let client = try await cluster.client(timeout: .seconds(2))
            let scene = try await FullDiskScene(cluster, client)
            let isOver = Mutex(false)
            let load = scene.load
            async let working: Void = load.run { isOver.withLock { $0 } }
            do {
                try await scene.observeWrites("some writes")
                try await body(scene)
                try await scene.observeRecovery()
            } catch {
                // A write is tried until its outcome is known. What is told is the error that came first.
                try? scene.makeRoom()
                isOver.withLock { $0 = true }
                await working
                throw error
            }
            isOver.withLock { $0 = true }
            await working
            try await scene.verify()
            try await cluster.killAndRestartAll()
            try await scene.verify()
            #expect(scene.load.tally.result.violations == [])
            #expect(try cluster.printedLines.filter { $0.contains(" error ") || $0.contains("Fatal") } == [])
            await client.shutdown()
        }
    }
}

/// Clusters that are written to and read all the time.
private struct FullDiskLoad: Sendable {
    let stores: [ChaosStore]
    /// Those that have a single member.
    let single: [ChaosStore]
    let tally = ChaosTally()

    func run(until isOver: @escaping @Sendable () -> Bool) async {
        await withTaskGroup(of: Void.self) { group in
            for store in stores + single {
                group.addTask { while !isOver() { await store.write(tally) } }
                group.addTask { while !isOver() { await store.read(tally) } }
            }
        }
    }
}

/// Clusters on nodes of which some have small disks, and what is looked at while these are full.
private struct FullDiskScene {
    let cluster: LocalCluster
    let client: FlotillaClient
    let load: FullDiskLoad
    /// Clusters with a single member that rest, on each node one.
    let single: [String: ClusterClient<KeyValue>]

    private static let key = KeyValue.Key("key")

    init(_ cluster: LocalCluster, _ client: FlotillaClient) async throws {
        self.cluster = cluster
        self.client = client
        var stores: [ChaosStore] = []
        for number in 0..<8 {
            _ = try await client.startCluster(ClusterName("kv-\(number)"), machine: "kv", nodes: cluster.names)
            stores.append(try ChaosStore(client, name: "kv-\(number)", valueBytes: 4_000))
            try await stores[number].lead(on: NodeName("n1"))
        }
        var busy: [ChaosStore] = []
        var single: [String: ClusterClient<KeyValue>] = [:]
        for node in try cluster.names {
            _ = try await client.startCluster(ClusterName("busy-\(node)"), machine: "kv", nodes: [node])
            busy.append(try ChaosStore(client, name: "busy-\(node)", valueBytes: 4_000))
            let name = try ClusterName("single-\(node)")
            _ = try await client.startCluster(name, machine: "kv", nodes: [node])
            single[node.description] = client.cluster(name, of: KeyValue.self)
        }
        load = FullDiskLoad(stores: stores, single: busy)
        self.single = single
        for node in single.keys { try await put("before", on: node) }
    }

    private func put(_ value: String, on node: String, timeout: Duration = .seconds(2)) async throws {
        let store = try #require(single[node])
        _ = try await store.process(
            .put(Self.key, ByteBuffer(string: value), ifIndex: nil), timeout: timeout)
    }

    private func get(on node: String) async throws -> String? {
        let store = try #require(single[node])
        guard case .item(let item) = try await store.query(.get(Self.key)) else { return nil }
        return String(buffer: item.value)
    }

    private func isFull(_ node: String) async throws -> Bool {
        let overview = try await client.overview(of: NodeName(node))
        return overview.values.contains { $0.name == "wal_disk_full" && $0.value == 1 }
    }

    private var nodesWithSmallDisks: [String] { cluster.nodes.prefix(cluster.smallDisks.count).map(\.name) }

    // MARK: Full

    /// Fills the small disks until nothing makes room any more: what was under way ends by removing files.
    func fill() async throws {
        var since: ContinuousClock.Instant?
        _ = try await eventually("full disks") { () -> Bool? in
            for disk in cluster.smallDisks { try disk.fill() }
            var areFull = true
            for node in nodesWithSmallDisks where areFull { areFull = try await isFull(node) }
            guard areFull else {
                since = nil
                return nil
            }
            since = since ?? .now
            return ContinuousClock.now - (since ?? .now) > .seconds(2) ? true : nil
        }
    }

    /// What holds on a node whose disk is full.
    func observeRefusal(by node: String) async throws {
        let possible = try await refuse(on: node)
        #expect(try await possible.contains(get(on: node) ?? ""))
        // An election needs a record in the log.
        try await single[node]?.triggerElection(on: NodeName(node))
        #expect(try await possible.contains(get(on: node) ?? ""))
        let reads = load.tally.result.reads
        _ = try await eventually("reads") { load.tally.result.reads > reads + 200 ? true : nil }
        #expect(cluster[node].isRunning)
    }

    /// Puts until it is refused; returns what the value may be now.
    ///
    /// Files that are removed make room for a moment. A put that is taken then may have to wait for room in the log,
    /// until after its deadline.
    private func refuse(on node: String) async throws -> [String] {
        var possible = [try await get(on: node) ?? "nothing"]
        _ = try await eventually("a refusal by \(node)") { () -> Bool? in
            for disk in cluster.smallDisks { try disk.fill() }
            do {
                try await put("during", on: node)
                possible = ["during"]
            } catch let error as FlotillaError where error.code == .busy {
                #expect(error.message.contains("full"), "\(error)")
                return true
            } catch let error as FlotillaError where error.code == .outcomeUnknown {
                possible.append("during")
            }
            return nil
        }
        return possible
    }

    func observeWrites(_ what: String) async throws {
        let count = load.tally.result.acknowledged
        _ = try await eventually(what) { load.tally.result.acknowledged > count + 500 ? true : nil }
    }

    // MARK: Room

    func makeRoom() throws { for disk in cluster.smallDisks { try disk.makeRoom() } }

    /// Makes room, and looks whether everything goes on by itself.
    func observeRecovery() async throws {
        try makeRoom()
        let since = ContinuousClock.now
        for node in nodesWithSmallDisks { try await put("after", on: node, timeout: .seconds(10)) }
        let pause = ContinuousClock.now - since
        print("the first writes came \(pause) after there was room again")
        #expect(pause < .seconds(5))
        for node in nodesWithSmallDisks { #expect(try await !isFull(node)) }
        try await observeWrites("more writes")
    }

    /// Everything is read from each node in turn.
    func verify() async throws {
        for node in try cluster.names {
            for store in load.stores {
                try await store.lead(on: node)
                await store.verify(load.tally)
            }
        }
        for store in load.single { await store.verify(load.tally) }
        for node in nodesWithSmallDisks { #expect(try await get(on: node) == "after") }
    }
}
