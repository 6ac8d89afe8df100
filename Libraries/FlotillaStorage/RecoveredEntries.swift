import FlotillaWire
import NIOCore

/// The entries of one server that recovery has gathered from records, or only how far they reach.
///
/// Whoever looks at a log without starting a node on it needs no entry itself, and should not need memory for all.
struct RecoveredEntries {
    /// The entries; empty if they are not kept.
    let table: MemoryTable
    private let keepsBytes: Bool
    /// The index of the first, or of the one that may come first when there is none.
    private(set) var firstIndex: LogIndex
    /// The index of the last, or the one before the first when there is none.
    private(set) var lastIndex: LogIndex

    /// No entries; the first will stand behind an index.
    init(after base: LogIndex, keepsBytes: Bool) {
        table = MemoryTable(after: base)
        self.keepsBytes = keepsBytes
        firstIndex = base.next
        lastIndex = base
    }

    /// Drops entries from an index on, also those that are not here but in segments.
    mutating func truncate(from index: LogIndex) {
        guard index <= lastIndex else { return }
        guard index >= firstIndex else {
            reset(after: index.previous)
            return
        }
        if keepsBytes { table.truncate(from: index) }
        lastIndex = index.previous
    }

    /// Drops everything; the next entry will stand behind an index.
    mutating func reset(after base: LogIndex) {
        table.reset(after: base)
        firstIndex = base.next
        lastIndex = base
    }

    /// Adds the entries of a record from one of them on, which must be the index behind the last.
    mutating func append(_ record: EntriesRecord, from first: LogIndex) {
        if keepsBytes { table.append(record.bytes(from: first), first: first, count: record.last - first + 1) }
        lastIndex = record.last
    }
}

extension EntriesRecord {
    /// The encoded entries from one of them on.
    fileprivate func bytes(from index: LogIndex) -> ByteBuffer {
        guard index > first else { return bytes }
        var rest = bytes
        rest.moveReaderIndex(forwardBy: bytes.withUnsafeReadableBytes { EntryRun.byteCount(of: index - first, in: $0) })
        return rest
    }
}
