import FlotillaWire
import NIOCore

/// What a machine makes of a query.
public enum QueryOutcome<Answer: Sendable>: Sendable {
    /// The answer.
    case answer(Answer)
    /// The answer needs the commands at these indexes, in any order and as often as one likes; `then` makes it of them.
    ///
    /// `then` is called on whatever thread has them, once, and it may be that the machine has gone on by then. It
    /// returns `nil` when what was read does not fit, because a command is gone or another one than expected: the query
    /// is then looked up again, from the state that the machine has by that time.
    case read([LogIndex], then: @Sendable (ReadEntries) -> Answer?)
}

/// The commands that a query needs, as they were read from the log.
public struct ReadEntries: Sendable {
    /// The indexes that were asked for, in the order in which they were.
    public let indexes: [LogIndex]
    private let payloads: [ByteBuffer?]

    /// These commands, each as its machine encodes it, one for each index; `nil` for one that is gone.
    public init(of indexes: [LogIndex], payloads: [ByteBuffer?]) {
        precondition(indexes.count == payloads.count, "\(payloads.count) commands for \(indexes.count) indexes")
        self.indexes = indexes
        self.payloads = payloads
    }

    /// The commands of encoded entries, one for each index; `nil` for one that is gone. An entry that is no command or
    /// stands at another index counts as gone.
    ///
    /// - Parameter entries: header and body of each, verified before.
    public init(of indexes: [LogIndex], entries: [ByteBuffer?]) {
        precondition(indexes.count == entries.count, "\(entries.count) entries for \(indexes.count) indexes")
        self.indexes = indexes
        payloads = zip(indexes, entries).map { index, entry in entry.flatMap { Self.payload(of: $0, at: index) } }
    }

    /// The command whose index stands at a position of `indexes`; shares storage with what was read.
    public subscript(position: Int) -> ByteBuffer? { payloads[position] }

    /// The command at an index; `nil` when it is gone or was not asked for. Goes through all indexes: whoever asked for
    /// many takes them by their positions.
    public func payload(at index: LogIndex) -> ByteBuffer? {
        indexes.firstIndex(of: index).flatMap { payloads[$0] }
    }

    private static func payload(of entry: ByteBuffer, at index: LogIndex) -> ByteBuffer? {
        let found = entry.withUnsafeReadableBytes { bytes -> (start: Int, length: Int)? in
            guard bytes.count >= EntryHeader.byteCount, let base = bytes.baseAddress,
                let header = EntryHeader.loadTrusted(from: base), header.kind == .command, header.index == index,
                bytes.count >= header.entryLength
            else { return nil }
            let body = UnsafeRawBufferPointer(rebasing: bytes[EntryHeader.byteCount..<header.entryLength])
            return CommandPrefix.length(in: body).map { (EntryHeader.byteCount + $0, body.count - $0) }
        }
        return found.flatMap { entry.getSlice(at: entry.readerIndex + $0.start, length: $0.length) }
    }
}

/// A query whose answer needs commands of the log, without the types of its machine.
public struct PendingRead: Sendable {
    /// The indexes of the commands that it needs.
    public let indexes: [LogIndex]
    /// Appends the encoded answer.
    ///
    /// Returns whether there is one. If not, nothing was appended, and the query must be looked up again.
    public let finish: @Sendable (_ entries: ReadEntries, _ buffer: inout ByteBuffer) -> Bool

    /// A read of these parts.
    @inlinable
    public init(
        indexes: [LogIndex], finish: @escaping @Sendable (_ entries: ReadEntries, _ buffer: inout ByteBuffer) -> Bool
    ) {
        self.indexes = indexes
        self.finish = finish
    }
}
