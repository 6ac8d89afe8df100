import FlotillaWire

/// The set's background jobs.
extension SnapshotSet {
    /// Looks at all snapshots of a server: removes what was never finished, and checks the header, the metadata and the
    /// end block of every file. It can be cut off anywhere and repeated. A directory that is not there holds none.
    ///
    /// - Returns: the set, and what is damaged. A damaged file stays where it is, until it is superseded.
    /// - Throws: `version` for a file of another format, since it may be newer than all that can be read.
    package static func load(
        directory: SnapshotDirectory, files: AsyncFiles
    ) async throws(StorageError) -> (set: SnapshotSet, damages: [Damage]) {
        var set = SnapshotSet(directory: directory)
        var damages: [Damage] = []
        for name in try await names(in: directory, files) {
            if SnapshotFormat.isUnfinished(name) {
                try await asStorageError { () async throws(FileSystemError) in
                    try await files.removeIfThere(directory.path(of: name))
                }
            } else if let parts = SnapshotFile.parts(of: name) {
                try await set.look(at: parts, files, &damages)
            }
        }
        return (set, damages)
    }

    private static func names(
        in directory: SnapshotDirectory, _ files: AsyncFiles
    ) async throws(StorageError) -> [String] {
        do throws(FileSystemError) {
            // Whoever renamed a file may have been killed before its name was durable; nobody must build on it before.
            try await files.perform(.syncDirectory(path: directory.path))
            return try await files.list(directory.path)
        } catch {
            if error.isNotFound { return [] }
            throw StorageError(error)
        }
    }

    /// Looks at one file, which is added to the set.
    mutating func look(
        at parts: (kind: SnapshotKind, index: LogIndex, term: Term), _ files: AsyncFiles, _ damages: inout [Damage]
    ) async throws(StorageError) {
        func file(bytes: UInt64, liveCount: Int) -> SnapshotFile {
            SnapshotFile(
                directory: directory, kind: parts.kind, index: parts.index, term: parts.term, bytes: bytes,
                liveCount: liveCount)
        }
        let name = SnapshotFile.name(parts.kind, parts.index, parts.term)
        do throws(StorageError) {
            let reader = try await SnapshotReader.open(
                name, in: directory, index: parts.index, term: parts.term, files: files)
            try await reader.close()
            insert(file(bytes: reader.byteCount, liveCount: reader.liveCount))
        } catch {
            guard error.code == .corrupt else { throw error }
            damages += error.damages
            let path = directory.path(of: name)
            let size = try await asStorageError { () async throws(FileSystemError) in try await files.size(path) }
            insertDamaged(file(bytes: size ?? 0, liveCount: 0))
        }
    }

    /// Removes files durably, in their order.
    package static func durablyRemove(
        _ obsolete: [SnapshotFile], files: AsyncFiles
    ) async throws(StorageError) {
        guard let directory = obsolete.first?.directory else { return }
        try await asStorageError { () async throws(FileSystemError) in
            for file in obsolete { try await files.removeIfThere(file.path) }
            try await files.perform(.syncDirectory(path: directory.path))
        }
    }
}
