import FlotillaWire

/// Something that the doctor has found in a data directory.
package struct Finding: Sendable, Equatable, CustomStringConvertible {
    /// How bad it is.
    package enum Severity: String, Sendable {
        /// Nothing is lost, and nothing needs to be done.
        case note
        /// Something is not as it was written, or is not there.
        case problem
    }

    /// A server, as far as the write-ahead log tells who it is.
    package struct Server: Sendable, Equatable, CustomStringConvertible {
        /// The identity of its storage.
        package var uid: ServerUID
        /// Its name; `nil` where the log does not know it.
        package var id: ServerID?
        /// The name of its cluster; `nil` where the log does not know it.
        package var cluster: ClusterName?

        /// The identity, and the names where they are known.
        package var description: String {
            guard let id, let cluster else { return "server \(uid)" }
            return "server \(uid) (\(id) of cluster \(cluster))"
        }
    }

    /// How bad it is.
    package var severity: Severity
    /// The path of the file, or of the directory in which one is missing.
    package var file: String
    /// Where in the file it begins.
    package var offset: UInt64
    /// How many bytes are concerned, where that is known; else 0.
    package var length: UInt64
    /// The server that it belongs to; `nil` when that can't be known or there is none.
    package var server: Server?
    /// The entries that it concerns, where that is known.
    package var entries: ClosedRange<LogIndex>?
    /// What it is, for people.
    package var text: String
    /// What to do about it, for people: one sentence.
    package var advice: String

    init(
        _ severity: Severity, _ file: String, at offset: UInt64 = 0, length: UInt64 = 0, server: Server? = nil,
        entries: ClosedRange<LogIndex>? = nil, _ text: String, advice: String
    ) {
        self.severity = severity
        self.file = file
        self.offset = offset
        self.length = length
        self.server = server
        self.entries = entries
        self.text = text
        self.advice = advice
    }

    /// One line for people.
    package var description: String {
        var line = "\(severity.rawValue): \(file) at offset \(offset): \(text)"
        if let server { line += "; \(server)" }
        if let entries {
            let isOne = entries.lowerBound == entries.upperBound
            line += isOne ? ", entry \(entries.lowerBound)" : ", entries \(entries.lowerBound) to \(entries.upperBound)"
        }
        return "\(line). \(advice)"
    }
}

/// What the doctor has looked at and found, counted.
package struct DoctorSummary: Sendable, Equatable {
    /// How many files it has looked at.
    package var files: UInt64 = 0
    /// How many bytes these have.
    package var bytes: UInt64 = 0
    /// How many servers the write-ahead log knows that were not deleted.
    package var servers: UInt64 = 0
    /// How many entries it has verified, in the write-ahead log and in segments; one that is in both counts twice.
    package var entries: UInt64 = 0
    /// How many problems there are.
    package var problems: UInt64 = 0
    /// How many notes there are.
    package var notes: UInt64 = 0
}
