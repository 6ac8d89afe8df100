import FlotillaSimulation
import Testing

/// The simulator as people run it.
@Suite(.serialized) struct SimulatorTests {
    @Test func `a seed does the same in every process, built for release or for debugging`() async throws {
        // Each process hashes with another seed, so an order that follows from a dictionary would show.
        let arguments = ["--seeds", "1..6", "--hashes"]
        let first = try await run("flotilla-simulate", arguments)
        let second = try await run("flotilla-simulate", arguments)
        let here = (1...6).map { seed in
            let world = World(Plan(seed: UInt64(seed)))
            _ = world.run()
            return "seed \(seed): trace \(String(world.trace.hash, radix: 16))"
        }
        #expect(first.status == 0 && second.status == 0)
        #expect(first.output.split(separator: "\n").prefix(6).map(String.init) == here)
        #expect(second.output.split(separator: "\n").prefix(6).map(String.init) == here)
    }

    @Test func `what makes no sense is refused with a word`() async throws {
        for arguments in [["--seeds", "9..3"], ["--seeds", "x"], ["--seeds", "1..4", "--trace"], ["--keep", "1,b"]] {
            let result = try await run("flotilla-simulate", arguments)
            #expect(result.status != 0)
            #expect(result.error.contains("Error"), "\(arguments)")
        }
    }
}
