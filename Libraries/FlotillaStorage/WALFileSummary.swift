import FlotillaWire

/// What a first look at a write-ahead log file shows.
struct WALFileSummary {
    /// What it holds.
    enum Content: Equatable {
        /// Batches; the number of the first, unless the place where it should begin is damaged.
        case batches(first: UInt64?)
        /// Nothing: it was prepared and never used.
        case empty
        /// The remains of a first batch that was never finished.
        case spent
    }

    let path: String
    /// The sequence number that the file's name says.
    let sequence: UInt64
    let size: UInt64
    /// The header, when one of its copies is whole.
    private(set) var header: WALFileHeader?
    private(set) var content = Content.empty
    private(set) var damages: [Damage] = []

    init(path: String, sequence: UInt64, size: UInt64) {
        self.path = path
        self.sequence = sequence
        self.size = size
    }

    /// A file that can't be read, and so may hold batches.
    init(unreadable path: String, sequence: UInt64) {
        self.init(path: path, sequence: sequence, size: 0)
        content = .batches(first: nil)
    }

    /// Whether it holds batches.
    var hasBatches: Bool { if case .batches = content { true } else { false } }

    /// The number of its first batch, when that is known.
    var firstBatch: UInt64? { if case .batches(let first) = content { first } else { nil } }

    /// Reads the header from the beginning of the file; throws when it is another node's or another version's.
    mutating func readHeader(_ bytes: UnsafeRawBufferPointer, nodeID: NodeID) throws(StorageError) {
        let first = WALFileHeader(from: bytes, at: 0)
        let copy = WALFileHeader(from: bytes, at: WALFileHeader.copyOffset)
        header = first ?? copy
        guard let header else { return }
        guard header.major == WALFormat.major else {
            throw StorageError(
                .version, "\(path) has format \(header.major), this program reads \(WALFormat.major) only")
        }
        guard header.nodeID == nodeID else {
            throw StorageError(.wrongNode, "\(path) belongs to node \(header.nodeID), not to \(nodeID)")
        }
        checkHeaderBlock(bytes, first: first, copy: copy)
    }

    private mutating func checkHeaderBlock(
        _ bytes: UnsafeRawBufferPointer, first: WALFileHeader?, copy: WALFileHeader?
    ) {
        if first == nil { note(.padding, at: 0) }
        if copy == nil { note(.padding, at: WALFileHeader.copyOffset) }
        for start in [0, WALFileHeader.copyOffset] {
            let rest = start + WALFileHeader.byteCount..<start + WALFileHeader.copyOffset
            if bytes.count >= rest.upperBound, !UnsafeRawBufferPointer(rebasing: bytes[rest]).isZero {
                note(.padding, at: rest.lowerBound)
            }
        }
    }

    /// Looks for a batch where the first should begin; `false` when there is none.
    mutating func findFirstBatch(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let header, bytes.count >= 2 * WALFormat.blockBytes else { return false }
        // The batch may be longer than what was read; only its header is looked at.
        guard let number = Self.batchNumber(bytes, at: WALFormat.blockBytes, header: header) else { return false }
        content = .batches(first: number)
        checkAgainstName()
        return true
    }

    /// Looks at a whole file that does not begin with a batch.
    mutating func search(_ bytes: UnsafeRawBufferPointer) {
        let rest = bytes.count > WALFormat.blockBytes ? bytes[WALFormat.blockBytes...] : bytes[bytes.count...]
        let isZero = UnsafeRawBufferPointer(rebasing: rest).isZero
        guard let header else {
            // A file gets its name only once its header is durable. Without one, what it held can't be told, even if
            // nothing seems to be there.
            content = .batches(first: nil)
            note(.fileHeader, at: 0)
            return
        }
        content = isZero ? .empty : .spent
        var offset = WALFormat.blockBytes
        while offset + WALFormat.blockBytes <= bytes.count {
            if Self.batchNumber(bytes, at: offset, header: header) != nil {
                content = .batches(first: nil)
                break
            }
            offset += WALFormat.blockBytes
        }
        checkAgainstName()
    }

    /// A header that says another sequence number than the name, or another length than the file has, is damage as
    /// soon as the file holds anything.
    private mutating func checkAgainstName() {
        guard let header, content != .empty else { return }
        if header.sequence != sequence { note(.fileHeader, at: 16) }
        if header.length != size { note(.fileLength, at: min(size, header.length)) }
    }

    private static func batchNumber(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, header: WALFileHeader
    ) -> UInt64? {
        WALBatchHeader.number(in: bytes, at: offset, seed: header.seed)
    }

    private mutating func note(_ kind: Damage.Kind, at offset: UInt64) {
        damages.append(Damage(file: path, offset: offset, kind: kind))
    }

    private mutating func note(_ kind: Damage.Kind, at offset: Int) { note(kind, at: UInt64(offset)) }
}
