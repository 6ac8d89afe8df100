import FlotillaSimulator
import Foundation
import Testing

@Suite("Planting bugs")
struct PlantingTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path()

    private func mutant(_ name: String, _ original: String, in file: String = "Libraries/A.swift") throws -> Mutant {
        try Mutant(
            name: name,
            text:
                "A bug.\nrule: r\nfile: \(file)\n<<<\n\(original)\n===\nisPlanted(\"\(name)\") ? 0 : \(original)\n>>>\n"
        )
    }

    private func sources(_ text: String) -> PlantedSources {
        PlantedSources { ["Libraries/A.swift", "Libraries/FlotillaWire/B.swift"].contains($0) ? text : nil }
    }

    @Test func `puts each behind its switch, the second into what the first has left`() throws {
        var sources = sources("import FlotillaWire\n\nlet sum = 1 + 2\n")
        try sources.plant(mutant("one", "1"))
        try sources.plant(mutant("two", "2"))
        #expect(
            sources.files == [
                "Libraries/A.swift": """
                import FlotillaWire

                let sum = isPlanted("one") ? 0 : 1 + isPlanted("two") ? 0 : 2

                """
            ])
    }

    @Test func `imports the switch where it is used, except where it is defined`() throws {
        var sources = sources("let sum = 1\n")
        try sources.plant(mutant("one", "1"))
        try sources.plant(mutant("other", "1", in: "Libraries/FlotillaWire/B.swift"))
        #expect(sources.files["Libraries/A.swift"]?.hasPrefix("import FlotillaWire\nlet sum") == true)
        #expect(sources.files["Libraries/FlotillaWire/B.swift"]?.hasPrefix("let sum") == true)
    }

    @Test(arguments: [("3", "nowhere"), ("1", "more than once")])
    func `refuses a text that does not stand there exactly once`(_ text: String, _ places: String) throws {
        var sources = sources("1 + 1 + 2")
        let error = MutantError(
            mutant: "bug", reason: "in Libraries/A.swift this text stands \(places):\n\(text)")
        #expect(throws: error) { try sources.plant(mutant("bug", text)) }
    }

    @Test func `refuses a file that is not there`() throws {
        var sources = sources("1")
        let error = MutantError(mutant: "bug", reason: "there is no file Libraries/C.swift")
        #expect(throws: error) { try sources.plant(mutant("bug", "1", in: "Libraries/C.swift")) }
    }

    @Test func `fits every bug of this repository into its sources`() throws {
        let mutants = try MutantFiles.read(from: Self.root + "Mutants")
        #expect(mutants.count >= 50)
        let planted = try MutantFiles.plant(mutants, inSourcesAt: Self.root)
        #expect(Set(planted.files.keys) == Set(mutants.flatMap { $0.changes.map(\.file) }))
        for mutant in mutants {
            #expect(planted.files.values.contains { $0.contains("isPlanted(\"\(mutant.name)\")") })
        }
    }

    @Test func `copies the sources with the bugs and their switch, and no other change`() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "planting-\(UUID())").path()
        defer { try? FileManager.default.removeItem(atPath: place) }
        let mutants = try MutantFiles.read(from: Self.root + "Mutants")
        let planted = try MutantFiles.plant(mutants, inSourcesAt: Self.root)
        try MutantFiles.copy(Self.root, to: place, with: planted)
        let changed = try #require(planted.files.keys.min())
        #expect(try String(contentsOfFile: "\(place)/\(changed)", encoding: .utf8) == planted.files[changed])
        #expect(FileManager.default.fileExists(atPath: "\(place)/\(PlantedSources.switchFile)"))
        #expect(
            FileManager.default.contentsEqual(atPath: "\(place)/Package.swift", andPath: Self.root + "Package.swift"))
        try "left over".write(toFile: "\(place)/Libraries/Old.swift", atomically: true, encoding: .utf8)
        try MutantFiles.copy(Self.root, to: place, with: planted)
        #expect(!FileManager.default.fileExists(atPath: "\(place)/Libraries/Old.swift"))
    }
}
