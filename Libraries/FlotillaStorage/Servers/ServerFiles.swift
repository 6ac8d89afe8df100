import FlotillaWire

/// The files of one server apart from the node's write-ahead log: its segments and its snapshots.
package struct ServerFiles: Sendable {
    /// Where its entries are that are no more in memory.
    package var segments: SegmentSet
    /// Its snapshots and checkpoints.
    package var snapshots: SnapshotSet
    /// What the newest snapshot says of itself.
    package var metadata: SnapshotMetadata?

    /// A server without files.
    package init(uid: ServerUID, directory: SnapshotDirectory) {
        segments = SegmentSet(uid: uid)
        snapshots = SnapshotSet(directory: directory)
    }
}

/// The directory that holds a directory for each server, by its identity.
package struct ServersDirectory: Sendable {
    /// Its path.
    package let path: String
    private let files: AsyncFiles

    /// The servers' directory of a data directory.
    package init(of dataDirectory: String, files: AsyncFiles) {
        path = "\(dataDirectory)/servers"
        self.files = files
    }

    /// What was found in it.
    package struct Contents: Sendable {
        /// The servers' files, by their owners.
        package var servers: [ServerUID: ServerFiles] = [:]
        /// What is damaged, harmless damage included.
        package var damages: [Damage] = []
    }

    /// Looks at the files of all servers, removing what was never finished. It can be cut off anywhere and repeated.
    ///
    /// - Parameter progress: is told before each server how far it has got.
    package func load(_ progress: (RecoveryProgress) -> Void = { _ in }) async throws(StorageError) -> Contents {
        var contents = Contents()
        let all = try await servers()
        for (place, uid) in all.enumerated() {
            progress(.servers(place, of: all.count))
            let directory = SegmentFormat.directory(of: uid, in: path)
            let loaded = try await SegmentSet.load(directory: directory, uid: uid, files: files)
            // Whose the snapshots are is known only when the write-ahead log has said of which cluster the server is.
            var server = ServerFiles(
                uid: uid, directory: SnapshotDirectory(path: directory, server: uid, cluster: .none))
            server.segments = loaded.set
            let (snapshots, damages) = try await SnapshotSet.load(directory: server.snapshots.directory, files: files)
            server.snapshots = snapshots
            if let newest = snapshots.newestSnapshot {
                server.metadata = try await SnapshotReader.with(newest, files: files) { $0.metadata }
            }
            try await dropOrphans(of: &server, in: directory)
            contents.servers[uid] = server
            contents.damages += loaded.damages + Self.serious(damages, in: snapshots)
        }
        return contents
    }

    /// Damage to a checkpoint, or to a snapshot that is superseded, costs nothing: neither is needed by anybody.
    private static func serious(_ damages: [Damage], in snapshots: SnapshotSet) -> [Damage] {
        let newest = snapshots.newestSnapshot?.index ?? .zero
        let needed = snapshots.damaged.filter { $0.kind == .snapshot && $0.index > newest }.map(\.path)
        return damages.filter { needed.contains($0.file) }
    }

    /// Segments that came with a snapshot which never became one are of no use.
    private func dropOrphans(of server: inout ServerFiles, in directory: String) async throws(StorageError) {
        let newest = server.snapshots.newestSnapshot
        let dropped = server.segments.dropInstalled(
            exceptFor: newest?.index ?? .zero, term: newest?.term ?? .zero, damaged: server.snapshots.damaged)
        try await SegmentFiles(directory: directory, uid: server.segments.uid, files: files).remove(dropped)
    }

    private func servers() async throws(StorageError) -> [ServerUID] {
        do throws(FileSystemError) {
            return try await files.list(path).compactMap { ServerUID($0) }.sorted()
        } catch {
            if error.isNotFound { return [] }
            throw StorageError(error)
        }
    }
}

extension ServerFiles {
    /// What recovery must know of the server before it reads the write-ahead log.
    var base: RecoveredBase {
        var base = RecoveredBase()
        if let metadata {
            base.snapshot = SnapshotName(index: metadata.index, term: metadata.term)
            base.snapshotConfiguration = (metadata.configurationIndex, metadata.configuration)
            base.lastTime = metadata.time
        }
        let floor = base.snapshot.index
        let last = segments.lastIndex(behind: floor)
        base.lastIndex = last > floor ? last : segments.lastShown(through: floor)
        if isInstalled { base.lastIndex = max(base.lastIndex, floor) }
        guard last > floor else { return base }
        base.termRuns = segments.terms(behind: floor).map { ($0.first, $0.term) }
        base.configurations = segments.configurations(behind: floor).map { ($0.index, $0.configuration) }
        base.lastTime = max(base.lastTime, segments.lookUp(last)?.lastTime ?? 0)
        return base
    }

    /// Whether the segments at or below the newest snapshot came with it.
    private var isInstalled: Bool {
        segments.segments.contains { segment in
            guard case .installed(let index, let term) = segment.kind else { return false }
            return index == metadata?.index && term == metadata?.term
        }
    }

    /// Settles, once the write-ahead log is read, which of the entries in segments are still in the log.
    mutating func settle(with server: RecoveredServer) {
        segments.truncate(from: server.entries.firstIndex)
        snapshots = snapshots.belonging(to: server.creation.clusterID)
    }
}

extension RecoveredServer {
    /// What its files lack of what the write-ahead log says.
    ///
    /// - Parameter directory: the directory of the files.
    func lacks(in directory: String) -> [Damage] {
        var damages: [Damage] = []
        let uid = creation.uid
        if let floor = snapshotFloor, floor.index > files?.metadata?.index ?? .zero {
            damages.append(Damage(file: directory, offset: 0, kind: .snapshotMissing, server: uid))
        }
        for gap in files?.segments.gaps(behind: snapshot.index) ?? [] {
            damages.append(Damage(file: directory, offset: 0, kind: .gap, server: uid, entries: gap))
        }
        let last = max(entries.lastIndex, snapshot.index)
        // Another log that a snapshot has superseded may well have been longer.
        if knownEnd > last, !wasSuperseded {
            damages.append(
                Damage(file: directory, offset: 0, kind: .endMissing, server: uid, entries: last.next...knownEnd))
        }
        return damages
    }
}
