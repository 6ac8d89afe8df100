import ArgumentParser

/// Makes a copy of the sources with all planted bugs in it, each behind its switch.
public struct PlantCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "plant", abstract: "Copies the sources with all planted bugs in them, and prints their names.",
        discussion: "A program that is built from the copy has the bug that \(PlantedSources.variable) names.")

    @Option(help: "the repository to copy")
    var sources = "."
    @Option(help: "the directory of the bugs")
    var mutants = "Mutants"
    @Option(help: "where the copy goes")
    var into: String

    public init() {}

    public mutating func run() throws {
        let mutants = try MutantFiles.read(from: mutants)
        let planted = try MutantFiles.plant(mutants, inSourcesAt: sources)
        try MutantFiles.copy(sources, to: into, with: planted)
        for mutant in mutants { print(mutant.name) }
    }
}
