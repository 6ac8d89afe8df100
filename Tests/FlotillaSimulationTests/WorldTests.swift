import FlotillaConsensus
import FlotillaKernel
import FlotillaSimulation
import Testing

@Suite("A simulated world")
struct WorldTests {
    private func options(_ body: (inout WorldOptions) -> Void = { _ in }) -> WorldOptions {
        var options = WorldOptions()
        options.clusters = [WorldOptions.Cluster(name: "kv0", machine: "kv", members: [0, 1, 2])]
        options.activeNanoseconds = 3_000_000_000
        body(&options)
        return options
    }

    @Test func `starts, works and comes to a good end where nothing goes wrong`() {
        let world = World(Plan(seed: 1, options: options()))
        #expect(world.run() == nil)
        #expect(world.report.answers > 100)
        #expect(world.report.unknown == 0)
        #expect(world.report.elections == 1)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `does the same again from the same seed, byte for byte`(seed: UInt64) {
        var lines: [[String]] = [[], []]
        var hashes: [UInt64] = []
        for run in 0...1 {
            let world = World(Plan(seed: seed))
            world.trace.listener = { lines[run].append("\($0)") }
            #expect(world.run() == nil)
            hashes.append(world.trace.hash)
        }
        #expect(hashes[0] == hashes[1])
        #expect(lines[0] == lines[1])
        #expect(lines[0].count > 1_000)
    }

    @Test func `does something else from another seed`() {
        let hashes = (1...4).map { seed in
            let world = World(Plan(seed: UInt64(seed)))
            _ = world.run()
            return world.trace.hash
        }
        #expect(Set(hashes).count == 4)
    }

    @Test func `draws nothing else when faults are left out of a plan`() {
        let plan = Plan(seed: 1)
        let kept: Set<Int> = [0, 2]
        #expect(plan.faults.count > 3)
        #expect(plan.keeping(kept).options == plan.options)
        #expect(plan.keeping(kept).faults == plan.faults.filter { kept.contains($0.number) })
    }

    @Test func `finds that a majority that never comes back breaks liveness, and says what it waits for`() {
        // Damage on two of three disks, which the drawer of faults would never do.
        let world = World(Plan(seed: 3, options: options()))
        world.begin()
        #expect(world.awaitStart())
        world.work()
        _ = world.advance(for: 1_000_000_000) { false }
        for number in 0...1 { world.computers[number].wipe() }
        let violation = world.settle()
        world.finish()
        #expect(violation?.rule == .liveness)
        #expect(violation?.text.contains("kv0") == true)
    }

    @Test func `shrinks a plan that fails to the faults that matter`() {
        let options = options { $0.activeNanoseconds = 2_000_000_000 }
        let faults: [Fault] = [
            .reset(0, 1), .wallJump(1, by: 5_000_000_000), .pause(.node(0), for: 100_000_000), .reset(1, 2),
        ]
        let plan = Plan(seed: 4, options: options, faults: faults, times: [1_000, 2_000, 3_000, 4_000])
        var tries: [[Int]] = []
        var shrinker = Shrinker(plan) { candidate in
            tries.append(candidate.faults.map(\.number))
            return candidate.faults.contains { $0.number == 2 }
        }
        #expect(shrinker.shrink().faults.map(\.number) == [2])
        #expect(tries.count < 10)
    }
}
