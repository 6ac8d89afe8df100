/// Sources with mutants in them. It reads no files itself.
public struct PlantedSources {
    /// The function that says at run time whether a mutant is turned on.
    static let function = "isPlanted"
    /// The module that the function is in; every other imports it.
    static let module = "FlotillaWire"
    /// The environment variable that names the mutant to turn on.
    public static let variable = "FLOTILLA_PLANTED"

    /// The contents of the files that were changed, by path.
    public private(set) var files: [String: String] = [:]
    private let read: (String) -> String?

    /// Nothing planted yet.
    ///
    /// - Parameter read: gives the contents of a source by its path from the root of the repository, or `nil`.
    public init(read: @escaping (String) -> String?) { self.read = read }

    /// Makes all changes of a mutant.
    ///
    /// - Throws: when a file is not there, or a text does not stand in it exactly once as it is by now.
    public mutating func plant(_ mutant: Mutant) throws(MutantError) {
        for change in mutant.changes {
            guard let text = files[change.file] ?? read(change.file) else {
                throw MutantError(mutant: mutant.name, reason: "there is no file \(change.file)")
            }
            let parts = text.split(separator: change.original, maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw MutantError(
                    mutant: mutant.name,
                    reason: "in \(change.file) this text stands \(parts.count > 2 ? "more than once" : "nowhere"):\n"
                        + change.original)
            }
            files[change.file] = Self.importing(parts[0] + change.replacement + parts[1], in: change.file)
        }
    }

    private static func importing(_ text: String, in file: String) -> String {
        let line = "import \(module)\n"
        return file.hasPrefix("Libraries/\(module)/") || text.hasPrefix(line) || text.contains("\n" + line)
            ? text : line + text
    }

    /// Where the source of the switch belongs.
    public static let switchFile = "Libraries/\(module)/Planted.swift"

    /// The source of the switch: it looks at the environment once and compares bytes, so that a run with no mutant
    /// turned on is hardly slower.
    public static let switchSource = """
        #if canImport(Glibc)
        import Glibc
        #elseif canImport(Musl)
        import Musl
        #else
        import Darwin
        #endif

        private let planted: [UInt8] = getenv("\(variable)").map { Array(String(cString: $0).utf8) } ?? []

        /// Whether this run is to have the bug of this name.
        public func \(function)(_ name: StaticString) -> Bool {
            guard !planted.isEmpty, planted.count == name.utf8CodeUnitCount else { return false }
            return memcmp(planted, name.utf8Start, planted.count) == 0
        }

        """
}
