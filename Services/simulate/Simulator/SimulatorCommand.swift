import ArgumentParser

/// The program: simulated worlds, and the bugs by which the simulator itself is tested.
public struct SimulatorCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "flotilla-simulate", abstract: "Runs whole fleets in one thread, on networks and disks that fail.",
        subcommands: [SimulateCommand.self, PlantCommand.self, TryCommand.self], defaultSubcommand: SimulateCommand.self
    )

    public init() {}
}
