import ArgumentParser
import FlotillaSimulation

/// Runs one seed and says in one line what came of it, for programs that run many.
public struct TryCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "try",
        abstract: "Runs one seed; exits with 1 and prints the rule and what happened if one is broken.")

    @Argument(help: "the seed")
    var seed: UInt64

    public init() {}

    public mutating func run() throws {
        guard let violation = World(Plan(seed: seed), keepingEvents: 1).run() else { return }
        print("\(violation.rule.rawValue)\t\(violation.text.prefix { $0 != "\n" })")
        throw ExitCode(1)
    }
}
