import ArgumentParser

/// The simulator on the command line.
public struct SimulateCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "flotilla-simulate",
        abstract: "Runs whole fleets in one thread, on networks, disks and clocks that fail.",
        subcommands: [RunCommand.self], defaultSubcommand: RunCommand.self)

    public init() {}
}
