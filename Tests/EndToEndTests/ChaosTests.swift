import FlotillaClient
import FlotillaMachine
import FlotillaWire
import Foundation
import Synchronization
import Testing

/// Many clusters under load whose nodes are killed all the time, with files so small that log files are filled, flushed
/// and released, snapshots taken and segments compacted at every moment.
///
/// `FLOTILLA_CHAOS_SECONDS` says for how long nodes are killed (20), `FLOTILLA_CHAOS_SEED` which and when (at random;
/// the processes themselves follow no seed).
@Suite(.serialized) struct ChaosTests {
    private static let flags = [
        "--command-max-bytes", "65536", "--wal-max-size-bytes", "524288", "--wal-max-files-behind", "3",
        "--flush-min-bytes", "8192", "--segment-max-entries", "64", "--snapshot-interval-bytes", "65536",
        "--log-tail-entries", "32", "--major-compaction-interval", "2",
    ]
    private static let stores = 40
    private static let counters = 10
    private static let valueBytes = [16, 200, 1_000, 4_000, 16_000]

    private struct Load {
        var stores: [ChaosStore] = []
        var counters: [ChaosCounter] = []
        let tally = ChaosTally()
    }

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    @Test func `nothing that was acknowledged is lost by nodes that are killed all the time`() async throws {
        let seconds = Self.number("FLOTILLA_CHAOS_SECONDS") ?? 20
        let seed = Self.number("FLOTILLA_CHAOS_SEED") ?? .random(in: 1...1_000_000)
        print("FLOTILLA_CHAOS_SEED=\(seed)")
        try await LocalCluster.with(3, flags: Self.flags) { cluster in
            let client = try await cluster.client(timeout: .seconds(30))
            let load = try await start(client, cluster)
            let isOver = Mutex(false)
            async let working: Void = work(load) { isOver.withLock { $0 } }
            var chaos = Chaos(cluster, seed: seed)
            let began = ContinuousClock.now
            do { try await chaos.run(for: .seconds(seconds)) } catch {
                isOver.withLock { $0 = true }
                await working
                throw error
            }
            let after = load.tally.result.acknowledged
            _ = try await eventually("writes after the last kill") {
                load.tally.result.acknowledged > after + 500 ? true : nil
            }
            isOver.withLock { $0 = true }
            await working
            let counts = load.tally.result
            print(
                "\(chaos.kills) kills in \(ContinuousClock.now - began): \(counts.acknowledged) writes acknowledged, "
                    + "\(counts.unknown) unknown, \(counts.reads) reads, \(counts.unanswered) without an answer in time"
            )
            try await verify(load, cluster)
            await client.shutdown()
            try await examine(cluster)
            #expect(load.tally.result.violations == [])
        }
    }

    private func start(_ client: FlotillaClient, _ cluster: LocalCluster) async throws -> Load {
        var load = Load()
        for number in 0..<Self.stores {
            _ = try await client.startCluster(ClusterName("kv-\(number)"), machine: "kv", nodes: cluster.names)
            let bytes = Self.valueBytes[number % Self.valueBytes.count]
            load.stores.append(try ChaosStore(client, name: "kv-\(number)", valueBytes: bytes))
        }
        for number in 0..<Self.counters {
            _ = try await client.startCluster(ClusterName("sum-\(number)"), machine: "counter", nodes: cluster.names)
            let bytes = Self.valueBytes[number % Self.valueBytes.count]
            load.counters.append(try ChaosCounter(client, name: "sum-\(number)", valueBytes: bytes))
        }
        return load
    }

    private func work(_ load: Load, until isOver: @escaping @Sendable () -> Bool) async {
        await withTaskGroup(of: Void.self) { group in
            for store in load.stores {
                group.addTask { while !isOver() { await store.write(load.tally) } }
                group.addTask { while !isOver() { await store.read(load.tally) } }
            }
            for counter in load.counters {
                group.addTask { while !isOver() { await counter.write(load.tally) } }
                group.addTask { while !isOver() { await counter.read(load.tally) } }
            }
        }
    }

    /// Everything is read once more after all nodes were killed at once, from each node in turn.
    private func verify(_ load: Load, _ cluster: LocalCluster) async throws {
        try await cluster.killAndRestartAll()
        for counter in load.counters { await counter.verify(load.tally) }
        for node in try cluster.names {
            for store in load.stores {
                try await store.lead(on: node)
                await store.verify(load.tally)
            }
        }
    }

    /// What the processes have said, and what they have left.
    private func examine(_ cluster: LocalCluster) async throws {
        for node in cluster.nodes { node.signal(SIGTERM) }
        for node in cluster.nodes { #expect(try await node.ended() == 0) }
        let unexpected = try cluster.printedLines.filter {
            $0.contains(" error ") || $0.contains(" critical ") || $0.contains("Fatal")
        }
        #expect(unexpected == [])
        for number in 1...3 {
            let directory = cluster.dataDirectory(number)
            let files = try FileManager.default.subpathsOfDirectory(atPath: directory.path())
            let log = files.filter { $0.hasSuffix(".wal") }
            #expect(!log.contains("wal/0000000000000001.wal"), "log files are released")
            // Those that wait, those in use and ready, and some on their way.
            #expect(log.count < 20, "\(log)")
            #expect(files.contains { $0.hasSuffix(".snap") })
            #expect(files.contains { $0.hasSuffix(".seg") })
            let doctor = try await run("flotilla", ["doctor", directory.path()])
            #expect(doctor.status == 0, "\(doctor.output)\(doctor.error)")
            let segments = files.filter { $0.hasSuffix(".seg") }.count
            print(
                "n\(number): \(log.count) log files, \(segments) segments; \(doctor.output.split(separator: "\n").last ?? "")"
            )
        }
    }
}

/// Kills nodes of a cluster and starts them again.
private struct Chaos {
    private let cluster: LocalCluster
    private var random: SeededRandom
    private(set) var kills = 0

    init(_ cluster: LocalCluster, seed: UInt64) {
        self.cluster = cluster
        random = SeededRandom(seed: seed)
    }

    mutating func run(for duration: Duration) async throws {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            // Kills come by the clock: what they hit is left to chance.
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...1_500, using: &random)))
            try await strike()
        }
    }

    private mutating func strike() async throws {
        let names = cluster.nodes.map(\.name).shuffled(using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: try await kill(names)
        case 1...3: try await kill(Array(names.prefix(2)))
        case 4...6:
            // Once more while it recovers, at whatever it does then.
            try await cluster[names[0]].killed()
            try cluster.begin(names[0])
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
            kills += 1
            try await kill([names[0]])
        default: try await kill([names[0]])
        }
    }

    private mutating func kill(_ names: [String]) async throws {
        for name in names { cluster[name].signal(SIGKILL) }
        for name in names { try await cluster[name].ended() }
        kills += names.count
        for name in names { try cluster.begin(name) }
        for name in names { try await cluster[name].ready() }
    }
}

/// A generator that gives the same for the same seed.
private struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
