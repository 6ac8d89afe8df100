import ArgumentParser
import FlotillaSimulation

/// Runs simulated worlds.
public struct SimulateCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "flotilla-simulate", abstract: "Runs whole fleets in one thread, on networks and disks that fail.")

    @Option(help: "the first seed")
    var from: UInt64 = 1
    @Option(help: "the last seed")
    var to: UInt64 = 10
    @Flag var trace = false

    public init() {}

    public mutating func run() throws {
        var total = Report()
        for seed in from...to {
            let world = World(Plan(seed: seed))
            if trace { world.trace.listener = { print($0) } }
            let violation = world.run()
            total.add(world.report)
            if let violation {
                print("seed \(seed): \(violation)")
                if !trace { for event in world.trace.latest.suffix(60) { print("   ", event) } }
                print(world.plan.options)
                for fault in world.plan.faults { print("  ", fault) }
                if trace { break }
            }
            print(
                "seed \(seed) ok", world.report.answers, world.report.attempts, world.scheduler.now / 1_000_000, "ms",
                world.scheduler.happened, String(world.trace.hash, radix: 16))
        }
        print(total)
    }
}
