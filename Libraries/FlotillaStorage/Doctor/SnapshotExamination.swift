import FlotillaWire

/// Looks at one snapshot or checkpoint.
struct SnapshotExamination {
    let parts: (kind: SnapshotKind, index: LogIndex, term: Term)
    let directory: SnapshotDirectory
    /// Whether the server starts from it.
    let isNewest: Bool
    /// Whether a newer snapshot has taken its place.
    let isSuperseded: Bool
    let files: AsyncFiles

    private var name: String { SnapshotFile.name(parts.kind, parts.index, parts.term) }
    private var path: String { directory.path(of: name) }

    private var advice: String {
        if isSuperseded { return Advice.superseded }
        return parts.kind == .checkpoint ? Advice.checkpoint : Advice.server
    }

    /// Reads all of it.
    ///
    /// - Returns: the entries that it needs, if the server starts from it.
    func run(_ log: inout FindingLog) async -> LiveIndexes? {
        log.count(bytes: (try? await files.size(path)) ?? 0)
        var reader: SnapshotReader
        do throws(StorageError) {
            reader = try await SnapshotReader.open(
                name, in: directory, index: parts.index, term: parts.term, files: files)
        } catch {
            log.add(error, file: path, at: 8, server: directory.server, advice: advice)
            return nil
        }
        var live: LiveIndexes?
        do throws(StorageError) {
            try await reader.verify()
            if isNewest { live = try await reader.liveIndexes() }
        } catch {
            log.add(error, file: path, at: reader.offset, server: directory.server, advice: advice)
        }
        // A file that was only read loses nothing.
        try? await reader.close()
        return live
    }
}
