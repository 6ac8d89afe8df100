/// Reads the form in which mutants are written down, line by line.
struct MutantReader {
    private let name: String
    private let lines: [Substring]
    private var position = 0

    init(name: String, text: String) {
        self.name = name
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    mutating func read() throws(MutantError) -> (summary: String, rule: String, changes: [Mutant.Change]) {
        let summary = words(before: "rule: ")
        guard !summary.isEmpty else { throw error("it does not say what the bug is") }
        guard let rule = value(of: "rule: ") else { throw error("no line 'rule: …' behind what the bug is") }
        var changes: [Mutant.Change] = []
        while let file = value(of: "file: ") {
            let before = changes.count
            while let change = try change(in: file) { changes.append(change) }
            if changes.count == before { throw error("nothing is changed in \(file)") }
        }
        skipEmptyLines()
        guard position == lines.count else { throw error("line \(position + 1) is not expected: \(lines[position])") }
        guard !changes.isEmpty else { throw error("it changes nothing") }
        try checkSwitches(changes)
        return (summary, rule, changes)
    }

    private mutating func words(before mark: String) -> String {
        var words: [Substring] = []
        while position < lines.count, !lines[position].hasPrefix(mark) {
            if !lines[position].isEmpty { words.append(lines[position]) }
            position += 1
        }
        return words.joined(separator: " ")
    }

    private mutating func value(of mark: String) -> String? {
        skipEmptyLines()
        guard position < lines.count, lines[position].hasPrefix(mark) else { return nil }
        defer { position += 1 }
        return String(lines[position].dropFirst(mark.count))
    }

    private mutating func skipEmptyLines() {
        while position < lines.count, lines[position].isEmpty { position += 1 }
    }

    private mutating func change(in file: String) throws(MutantError) -> Mutant.Change? {
        skipEmptyLines()
        guard position < lines.count, lines[position] == "<<<" else { return nil }
        position += 1
        let original = try block(until: "===")
        let replacement = try block(until: ">>>")
        guard !original.isEmpty, original != replacement else { throw error("a change in \(file) changes nothing") }
        return Mutant.Change(file: file, original: original, replacement: replacement)
    }

    private mutating func block(until mark: String) throws(MutantError) -> String {
        let start = position
        while position < lines.count, lines[position] != mark { position += 1 }
        guard position < lines.count else { throw error("no line '\(mark)' behind line \(start)") }
        defer { position += 1 }
        return lines[start..<position].joined(separator: "\n")
    }

    /// Without its switch a change would be there in every run, and with another mutant's in the wrong one.
    private func checkSwitches(_ changes: [Mutant.Change]) throws(MutantError) {
        let own = "\(PlantedSources.function)(\"\(name)\")"
        for change in changes {
            guard change.replacement.contains(own) else { throw error("a change in \(change.file) lacks \(own)") }
        }
    }

    private func error(_ reason: String) -> MutantError { MutantError(mutant: name, reason: reason) }
}
