import FlotillaWire

/// A whole write-ahead log file in memory, and where batches stand in it.
struct WALFileImage {
    let path: String
    let header: WALFileHeader
    let bytes: UnsafeRawBufferPointer

    /// The batch header at an offset, if there is a whole one.
    func batch(at offset: Int) -> (header: WALBatchHeader, checksum: UInt32)? {
        guard offset <= bytes.count - WALFormat.blockBytes else { return nil }
        return WALBatchHeader.load(from: bytes, at: offset, seed: header.seed)
    }

    /// The offset of the first batch header behind `offset` whose number is `number` or more.
    ///
    /// Only one batch is written at a time. So such a header proves that everything before it had become durable.
    func nextBatch(after offset: Int, atLeast number: UInt64) -> Int? {
        var next = AlignedMemory.roundUp(offset + 1)
        while next <= bytes.count - WALFormat.blockBytes {
            if let found = batch(at: next), found.header.number >= number { return next }
            next += WALFormat.blockBytes
        }
        return nil
    }

    /// Whether there are only zeros from an offset on.
    func isZero(from offset: Int) -> Bool {
        offset >= bytes.count || UnsafeRawBufferPointer(rebasing: bytes[offset...]).isZero
    }

    /// How many bytes from an offset on come before the zeros that the file ends with, in whole blocks.
    func usedBytes(from offset: Int) -> UInt64 {
        var end = bytes.count
        while end - WALFormat.blockBytes >= offset, isZeroBlock(at: end - WALFormat.blockBytes) {
            end -= WALFormat.blockBytes
        }
        return UInt64(max(0, end - offset))
    }

    private func isZeroBlock(at offset: Int) -> Bool {
        UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + WALFormat.blockBytes]).isZero
    }

    func damage(
        _ kind: Damage.Kind, at offset: Int, length: Int = 0, server: ServerUID? = nil,
        entries: ClosedRange<LogIndex>? = nil
    ) -> Damage {
        Damage(
            file: path, offset: UInt64(offset), length: UInt64(length), kind: kind, server: server,
            entries: entries)
    }
}
