/// A line of a file of keys and values that can't be used.
struct TSVError: Error, Equatable, CustomStringConvertible {
    /// Counted from 1.
    var line: Int
    var reason: String
    var description: String { "line \(line): \(reason)" }
}

/// One line: a key and its value.
struct TSVRecord: Equatable, Sendable {
    var line: Int
    var key: [UInt8]
    var value: [UInt8]
}

/// Cuts bytes into records of key TAB value. A line ends with LF or CRLF, the last may end with the file; empty lines
/// are skipped; the value goes from the first TAB to the end of the line.
struct TSVReader {
    private var pending: [UInt8] = []
    private var line = 0

    /// Takes more bytes and returns the records that are whole now.
    ///
    /// - Parameter isLast: whether the file ends here.
    /// - Returns: the records before the first line that can't be used, and what is wrong with that one.
    mutating func read(_ bytes: some Sequence<UInt8>, isLast: Bool) -> (records: [TSVRecord], error: TSVError?) {
        pending += bytes
        var records: [TSVRecord] = []
        var start = pending.startIndex
        while start < pending.endIndex {
            let end = pending[start...].firstIndex(of: UInt8(ascii: "\n"))
            guard let end = end ?? (isLast ? pending.endIndex : nil) else { break }
            line += 1
            do throws(TSVError) {
                if let record = try record(pending[start..<end]) { records.append(record) }
            } catch {
                return (records, error)
            }
            start = min(end + 1, pending.endIndex)
        }
        pending.removeFirst(start)
        return (records, nil)
    }

    private func record(_ text: ArraySlice<UInt8>) throws(TSVError) -> TSVRecord? {
        let text = text.last == UInt8(ascii: "\r") ? text.dropLast() : text
        if text.isEmpty { return nil }
        guard let tab = text.firstIndex(of: UInt8(ascii: "\t")) else {
            throw TSVError(line: line, reason: "no TAB between key and value")
        }
        guard tab > text.startIndex else { throw TSVError(line: line, reason: "the key is empty") }
        return TSVRecord(line: line, key: Array(text[..<tab]), value: Array(text[(tab + 1)...]))
    }
}
