import FlotillaWire

/// What recovery believes of what it reads, and how it makes that durable.
extension Recovery {
    /// Reads the first `count` bytes of a file, or all that it has, into `memory`.
    ///
    /// - Returns: how many bytes there were.
    mutating func load(_ path: String, count: Int) async throws(StorageError) -> Int {
        if memory.capacity < count { memory = AlignedMemory(capacity: count) }
        if !readsCache {
            // Past the cache: after a sync that failed, the system may show what the disk does not hold, and report
            // success for every later sync. A length that is no multiple of the alignment ends a file.
            do throws(FileSystemError) {
                return try await read(path, .direct, count: AlignedMemory.roundUp(count), atMost: count)
            } catch {
                guard error.isUnsupported else { throw StorageError(error) }
                readsCache = true
            }
        }
        do throws(FileSystemError) { return try await read(path, [], count: count, atMost: count) } catch {
            throw StorageError(error)
        }
    }

    private func read(
        _ path: String, _ options: OpenOptions, count: Int, atMost limit: Int
    ) async throws(FileSystemError) -> Int {
        try await files.with(path, options) { (file) async throws(FileSystemError) in
            min(limit, try await files.read(file, at: 0, count: count, into: memory))
        }
    }

    /// Makes what was read of the last file durable.
    ///
    /// Where the cache had to be believed, its last batch is written once more, with the same bytes: if a sync of it
    /// has failed, the system takes it for written and no sync alone would ever write it. Every batch before it was
    /// durable before the last one was begun.
    func makeDurable(_ summary: WALFileSummary) async throws(StorageError) {
        let doubtful = readsCache ? lastBatch : nil
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
        copy.base.copyMemory(from: memory.base + range.lowerBound, byteCount: range.count)
        return copy
    }
}
