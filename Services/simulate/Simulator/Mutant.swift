/// A planted bug: changes to the sources which a switch turns on at run time. It shows whether the simulator would find
/// the bug if somebody made it.
///
/// It stands in a file `NAME.mutant`:
/// ```
/// One sentence that says what the bug is.
/// rule: what is expected to catch it
/// file: path of a source, from the root of the repository
/// <<<
/// text that stands there exactly once
/// ===
/// what stands there instead: isPlanted("NAME") ? wrong : right
/// >>>
/// ```
/// There may be several files, and several changes to each.
public struct Mutant: Equatable, Sendable {
    /// One replacement in one file.
    public struct Change: Equatable, Sendable {
        /// The file's path, from the root of the repository.
        public var file: String
        /// Text that stands in it exactly once.
        public var original: String
        /// What stands in its place.
        public var replacement: String
    }

    /// What the file and the switch are called.
    public let name: String
    /// What the bug is.
    public let summary: String
    /// What is expected to catch it; for people.
    public let rule: String
    /// What it changes, in order.
    public let changes: [Change]

    /// The end of the names of their files.
    public static let suffix = ".mutant"

    /// Reads the contents of a file.
    ///
    /// - Parameter name: what the file is called, without its suffix.
    /// - Throws: when it is not in the form above, or turns on another switch than its own.
    public init(name: String, text: String) throws(MutantError) {
        var reader = MutantReader(name: name, text: text)
        (summary, rule, changes) = try reader.read()
        self.name = name
    }
}

/// Why a mutant can't be planted.
public struct MutantError: Error, Equatable, CustomStringConvertible {
    /// The mutant's name.
    public var mutant: String
    /// What is wrong with it.
    public var reason: String

    /// Name and reason.
    public var description: String { "mutant \(mutant): \(reason)" }

    /// An error of these parts.
    public init(mutant: String, reason: String) {
        self.mutant = mutant
        self.reason = reason
    }
}
