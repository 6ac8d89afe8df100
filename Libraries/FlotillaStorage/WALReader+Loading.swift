import FlotillaWire

/// What is believed of what is read.
extension WALReader {
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
}
