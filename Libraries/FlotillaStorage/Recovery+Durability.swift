import FlotillaWire

/// How recovery makes durable what it believes.
extension Recovery {
    /// Makes what was read of the last file durable.
    ///
    /// Where the cache had to be believed, its last batch is written once more, with the same bytes: if a sync of it
    /// has failed, the system takes it for written and no sync alone would ever write it. Every batch before it was
    /// durable before the last one was begun.
    func makeDurable(_ summary: WALFileSummary) async throws(StorageError) {
        let doubtful = reader.readsCache ? reader.lastBatch : nil
        let copy = doubtful.map { copyOfMemory($0) }
        try await asStorageError { () async throws(FileSystemError) in
            try await files.with(summary.path, copy == nil ? [] : .write) { (file) async throws(FileSystemError) in
                if let doubtful, let copy {
                    try await files.perform(
                        .write(file, at: UInt64(doubtful.lowerBound), count: doubtful.count, from: copy))
                }
                try await files.perform(.syncAll(file))
            }
        }
    }

    private func copyOfMemory(_ range: Range<Int>) -> AlignedMemory {
        let copy = AlignedMemory(capacity: range.count)
        copy.base.copyMemory(from: reader.memory.base + range.lowerBound, byteCount: range.count)
        return copy
    }
}
