import FlotillaWire
import NIOCore

/// What is remembered of an entry in some server's log.
struct LogLine: Equatable {
    var term: Term
    /// Over kind and body.
    var checksum: UInt32
}

extension LogLine {
    /// Stands for an entry that nobody can see any more, because a snapshot covers it.
    static let covered = LogLine(term: .zero, checksum: 0)

    /// An entry by its header.
    init(_ header: EntryHeader) {
        self.init(term: header.term, checksum: header.bodyChecksum ^ UInt32(header.kind.rawValue) << 24)
    }

    /// The entries that stand back to back in a buffer.
    static func read(_ entries: ByteBuffer) -> [LogLine] {
        var lines: [LogLine] = []
        forEachEntry(in: entries) { lines.append(LogLine($0)) }
        return lines
    }

    /// Calls `body` with the header of each entry.
    static func forEachEntry(in entries: ByteBuffer, _ body: (EntryHeader) -> Void) {
        entries.withUnsafeReadableBytes { bytes in
            var position = 0
            while let base = bytes.baseAddress, position + EntryHeader.byteCount <= bytes.count,
                let header = EntryHeader.loadTrusted(from: base + position)
            {
                body(header)
                position += header.entryLength
            }
        }
    }
}
