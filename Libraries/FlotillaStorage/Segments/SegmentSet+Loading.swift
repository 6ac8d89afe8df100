import FlotillaWire

/// What stands in a server's directory.
package struct LoadedSegments: Sendable {
    /// The segments.
    package var set: SegmentSet
    /// What is damaged, harmless damage included. Where it names no entries, none of the server's can be trusted: what
    /// the file would have hidden of older ones is not known.
    package var damages: [Damage]
    /// The snapshots with which segments came, as the caller must know them or drop those segments.
    package var installed: [(index: LogIndex, term: Term)]

    /// Takes what was read of one file.
    ///
    /// - Returns: the numbers of the segments that it replaces, which are no longer in the set.
    mutating func take(_ reader: SegmentFileReader) -> [UInt64] {
        damages += reader.damages
        set.reserve(through: reader.number)
        guard let segment = reader.segment else { return [] }
        if case .installed(let index, let term) = segment.kind { installed.append((index, term)) }
        // Whole files only: what replaces others must be able to stand for them.
        if segment.isReadable { return set.add(segment) }
        set.insert(segment)
        return []
    }
}

extension SegmentSet {
    /// Finds a server's segments at start: removes unfinished files and segments that a compacted one replaces, and
    /// reads the header and the tail of all others, not their entries.
    ///
    /// - Throws: what the file system says, and `version` for a format that this program does not know. Damage is not
    ///   thrown.
    package static func load(
        directory: String, uid: ServerUID, files: AsyncFiles
    ) async throws(StorageError) -> LoadedSegments {
        let segmentFiles = SegmentFiles(directory: directory, uid: uid, files: files)
        var loaded = LoadedSegments(set: SegmentSet(uid: uid), damages: [], installed: [])
        var replaced: [UInt64] = []
        for number in try await numbers(segmentFiles) {
            guard let (file, reader) = try await segmentFiles.open(number) else { continue }
            do throws(FileSystemError) { try await files.perform(.close(file)) } catch { throw StorageError(error) }
            replaced += loaded.take(reader)
        }
        try await segmentFiles.remove(replaced)
        return loaded
    }

    /// The numbers of all segments, ascending; their names are durable then.
    private static func numbers(_ segmentFiles: SegmentFiles) async throws(StorageError) -> [UInt64] {
        let files = segmentFiles.files
        let directory = segmentFiles.directory
        do throws(FileSystemError) {
            var numbers: [UInt64] = []
            for name in try await files.list(directory) {
                if name.hasSuffix(".tmp") {
                    try await files.removeIfThere("\(directory)/\(name)")
                } else if let number = SegmentFormat.number(ofFile: name) {
                    numbers.append(number)
                }
            }
            // Who wrote them may have been killed before it had made their names durable.
            try await files.perform(.syncDirectory(path: directory))
            return numbers.sorted()
        } catch {
            if error.isNotFound { return [] }
            throw StorageError(error)
        }
    }
}
