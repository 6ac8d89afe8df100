import FlotillaConsensus
import FlotillaKernel
import FlotillaSimulation
import Testing

/// Whole nodes whose disks stand still for a while.
@Suite("A simulated disk that stalls")
struct StalledDiskTests {
    private func world(seed: UInt64) -> World {
        var options = WorldOptions()
        options.clusters = [WorldOptions.Cluster(name: "kv0", machine: "kv", members: [0, 1, 2])]
        let world = World(Plan(seed: seed, options: options))
        world.begin()
        #expect(world.awaitStart())
        world.work()
        _ = world.advance(for: 1_000_000_000) { false }
        return world
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `costs a leader its place within moments, and the cluster serves on`(seed: UInt64) throws {
        let world = world(seed: seed)
        defer { world.finish() }
        let old = try #require(world.leader(of: 0)).host
        world.computers[old].disk.stall(until: world.scheduler.now + 5_000_000_000)
        let moved = world.advance(for: 3_000_000_000) {
            world.leader(of: 0).map { $0.host != old && $0.server.core.readyToServe } ?? false
        }
        #expect(moved)
        let answers = world.report.answers
        #expect(world.advance(for: 1_000_000_000) { world.report.answers > answers + 10 })
        #expect(world.computers[old].lives == 1)
        #expect(world.settle() == nil)
        #expect(world.report.slowDisks >= 1)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `ends a node when it hangs, which comes back when the disk does`(seed: UInt64) throws {
        let world = world(seed: seed)
        defer { world.finish() }
        let old = try #require(world.leader(of: 0)).host
        let computer = world.computers[old]
        computer.disk.stall(until: world.scheduler.now + 20_000_000_000)
        _ = world.advance(for: 9_500_000_000) { false }
        #expect(computer.lives == 1)
        #expect(world.advance(for: 4_000_000_000) { computer.lives > 1 })
        #expect(world.report.hungDisks == 1)
        #expect(computer.serving == nil)
        #expect(world.advance(for: 20_000_000_000) { computer.serving != nil })
        #expect(world.settle() == nil)
    }

    @Test func `that only looks hung because the process stood still ends nothing`() throws {
        let world = world(seed: 5)
        defer { world.finish() }
        let computer = world.computers[try #require(world.leader(of: 0)).host]
        computer.pause()
        _ = world.advance(for: 15_000_000_000) { false }
        computer.resume()
        #expect(world.settle() == nil)
        #expect(computer.lives == 1)
        #expect(world.report.hungDisks == 0)
    }
}
