import FlotillaSimulation
import Foundation
import Synchronization

/// Runs the worlds of many seeds, each world on one thread, some threads at a time.
final class Campaign: Sendable {
    /// A seed that failed.
    struct Failure: Sendable {
        var seed: UInt64
        var violation: Violation
    }

    private struct State {
        var next: UInt64
        var running = 0
        var report = Report()
        var failures: [Failure] = []
        /// The hashes of the traces, in the order of the seeds, as far as they are wanted.
        var hashes: [UInt64: UInt64] = [:]
    }

    private let seeds: SeedRange
    private let failuresMax: Int
    private let keepsHashes: Bool
    private let failed: @Sendable (_ seed: UInt64, Violation) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - failuresMax: after how many failures no further seed is begun.
    ///   - failed: is told of each failure at once, on any thread.
    init(
        _ seeds: SeedRange, failuresMax: Int, keepsHashes: Bool,
        failed: @escaping @Sendable (_ seed: UInt64, Violation) -> Void
    ) {
        self.failed = failed
        self.seeds = seeds
        self.failuresMax = failuresMax
        self.keepsHashes = keepsHashes
        state = Mutex(State(next: seeds.first))
    }

    /// Runs everything; `progress` is called about every so many seconds.
    func run(threads: Int, every seconds: Double, progress: (Report, _ failures: Int) -> Void) {
        state.withLock { $0.running = threads }
        for _ in 0..<threads {
            let thread = Thread { [self] in
                while let seed = take() { runSeed(seed) }
                state.withLock { $0.running -= 1 }
            }
            // A world is deep in calls when a job, a completion and a turn come together.
            thread.stackSize = 8 << 20
            thread.start()
        }
        var nextLine = Date().addingTimeInterval(seconds)
        while state.withLock({ $0.running }) > 0 {
            Thread.sleep(forTimeInterval: 0.02)
            guard Date() >= nextLine else { continue }
            nextLine = Date().addingTimeInterval(seconds)
            let (report, failures) = state.withLock { ($0.report, $0.failures.count) }
            progress(report, failures)
        }
    }

    private func take() -> UInt64? {
        state.withLock { state in
            guard state.next <= seeds.last, state.failures.count < failuresMax else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func runSeed(_ seed: UInt64) {
        let world = World(Plan(seed: seed))
        let violation = world.run()
        let (report, hash) = (world.report, world.trace.hash)
        state.withLock { state in
            state.report.add(report)
            if keepsHashes { state.hashes[seed] = hash }
            if let violation { state.failures.append(Failure(seed: seed, violation: violation)) }
        }
        if let violation { failed(seed, violation) }
    }

    /// What was met in all worlds.
    var report: Report { state.withLock { $0.report } }
    /// What failed, by seed.
    var failures: [Failure] { state.withLock { $0.failures.sorted { $0.seed < $1.seed } } }
    /// The trace's hash of each seed.
    var hashes: [(seed: UInt64, hash: UInt64)] {
        state.withLock { $0.hashes.map { (seed: $0.key, hash: $0.value) }.sorted { $0.seed < $1.seed } }
    }
}
