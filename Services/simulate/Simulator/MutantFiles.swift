import Foundation

/// The mutants and the sources as they stand on the disk.
public enum MutantFiles {
    /// Reads all mutants of a directory, in the order of their names.
    public static func read(from directory: String) throws -> [Mutant] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        return try names.filter { $0.hasSuffix(Mutant.suffix) }.sorted().map { name in
            try Mutant(
                name: String(name.dropLast(Mutant.suffix.count)),
                text: String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8))
        }
    }

    /// The sources of a repository with all mutants in them.
    public static func plant(_ mutants: [Mutant], inSourcesAt root: String) throws -> PlantedSources {
        var sources = PlantedSources { try? String(contentsOfFile: "\(root)/\($0)", encoding: .utf8) }
        for mutant in mutants { try sources.plant(mutant) }
        return sources
    }

    /// What of a repository a build needs.
    private static let parts = ["Package.swift", "Package.resolved", "Libraries", "Services", "Tests"]

    /// Makes a copy of a repository with all mutants in it. Files that need no change keep their times, so that a
    /// build of the copy is as short as the changes are few.
    ///
    /// - Parameter target: where the copy goes; what else is there of an earlier copy is removed.
    public static func copy(_ root: String, to target: String, with sources: PlantedSources) throws {
        var contents = sources.files.mapValues { Data($0.utf8) }
        contents[PlantedSources.switchFile] = Data(PlantedSources.switchSource.utf8)
        for part in parts {
            for file in files(under: part, in: root) where contents[file] == nil {
                contents[file] = try Data(contentsOf: URL(filePath: "\(root)/\(file)"))
            }
            for file in files(under: part, in: target) where contents[file] == nil {
                try FileManager.default.removeItem(atPath: "\(target)/\(file)")
            }
        }
        for (file, data) in contents { try put(data, at: "\(target)/\(file)") }
    }

    private static func put(_ data: Data, at path: String) throws {
        if FileManager.default.contents(atPath: path) == data { return }
        let directory = URL(filePath: path).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try data.write(to: URL(filePath: path))
    }

    /// The paths of all files of a part, from the root on; the part may be a file itself, or not be there.
    private static func files(under part: String, in root: String) -> [String] {
        let path = "\(root)/\(part)"
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return [] }
        guard isDirectory.boolValue else { return [part] }
        let names = FileManager.default.subpaths(atPath: path) ?? []
        return names.map { "\(part)/\($0)" }.filter { file in
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(root)/\(file)", isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }
    }
}
