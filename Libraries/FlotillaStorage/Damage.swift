import FlotillaWire

/// One damaged place in a file: bytes that were durable once and are no longer what was written.
public struct Damage: Equatable, Sendable, CustomStringConvertible {
    /// What is damaged.
    public enum Kind: String, Sendable, CaseIterable {
        /// The file's own header.
        case fileHeader = "file header"
        /// The file is shorter or longer than its header says.
        case fileLength = "file length"
        /// A file that must be there is not.
        case fileMissing = "missing file"
        /// The head of a batch, so that where its records end is not known.
        case batchHeader = "batch header"
        /// A batch that is right in itself but does not continue the one before.
        case batchChain = "batch chain"
        /// Batches that a later file shows to have been written.
        case batchesMissing = "missing batches"
        /// The head of a record; the rest of its batch can't be read.
        case recordEnvelope = "record envelope"
        /// The contents of a record other than entries.
        case recordPayload = "record"
        /// The head of an entry; the rest of its record can't be read.
        case entryHeader = "entry header"
        /// The body of an entry whose header, and so its identity, is right.
        case entryBody = "entry body"
        /// The tail of a segment, so that its entries can't be found.
        case segmentIndex = "segment index"
        /// A part of a file that could be made good from others. Nothing is lost by it.
        case mended = "part that could be made good"
        /// Bytes that hold nothing are not zero. Nothing is lost by it.
        case padding = "padding"
        /// Entries that don't follow the log that they belong to.
        case gap = "gap in a log"
        /// The last entries of a log: no file has them, and nothing says that they were dropped.
        case endMissing = "missing end of a log"
        /// A record of a server that was never created.
        case unknownServer = "record of an unknown server"
        /// A snapshot for which the log was cut is not there, or can't be read.
        case snapshotMissing = "missing snapshot"
        /// A block of a snapshot; the rest of the snapshot can't be read.
        case snapshotBlock = "block of a snapshot"
        /// The end block of a snapshot, without which there is no telling whether it is whole.
        case snapshotEnd = "end of a snapshot"
    }

    /// The file's path.
    public let file: String
    /// Where in the file it begins.
    public let offset: UInt64
    /// How many bytes are concerned, where that is known; else 0.
    public let length: UInt64
    /// What is damaged.
    public let kind: Kind
    /// The server that it belongs to; `nil` when that can't be known or there is none.
    public let server: ServerUID?
    /// The entries that it concerns, where that is known.
    public let entries: ClosedRange<LogIndex>?

    /// Damage of these parts.
    public init(
        file: String, offset: UInt64, length: UInt64 = 0, kind: Kind, server: ServerUID? = nil,
        entries: ClosedRange<LogIndex>? = nil
    ) {
        self.file = file
        self.offset = offset
        self.length = length
        self.kind = kind
        self.server = server
        self.entries = entries
    }

    /// Whether nothing that was written is lost by it.
    public var isHarmless: Bool { kind == .padding || kind == .mended }

    /// One line for people.
    public var description: String {
        var text = "\(file) at offset \(offset): \(kind.rawValue)"
        if let server { text += ", server \(server)" }
        if let entries { text += ", entries \(entries.lowerBound) to \(entries.upperBound)" }
        return text
    }
}
