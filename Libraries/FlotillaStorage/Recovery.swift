import FlotillaWire

/// Reads a write-ahead log from its files, for a node that starts on it.
///
/// What is torn and what is damaged is settled by `WALReader`. Nothing ever starts silently shorter: a server of which
/// anything is damaged is lost, and told with the first place; where it can't be known whose the damage is, the log is
/// refused whole.
///
/// Recovery removes what an unfinished preparation left, notes what a finished one did not, and changes nothing that is
/// in the log: it can be cut off anywhere and repeated. What it has read it makes durable, since a batch whose sync was
/// cut off may be complete in the system's cache and still be lost in a power failure.
public struct Recovery {
    private let settings: WALSettings
    let files: AsyncFiles
    private(set) var reader: WALReader
    private var progress: @Sendable (RecoveryProgress) -> Void = { _ in }

    private init(
        settings: WALSettings, nodeID: NodeID, bases: [ServerUID: RecoveredBase], files: AsyncFiles
    ) {
        self.settings = settings
        self.files = files
        reader = WALReader(
            directory: settings.directory, nodeID: nodeID, bases: bases, keepsEntries: true, files: files)
    }

    /// Reads the log of a node, on the executor of the calling task.
    ///
    /// - Parameter bases: what stands of servers in snapshots and segments.
    public static func run(
        settings: WALSettings, nodeID: NodeID, bases: [ServerUID: RecoveredBase] = [:], files: AsyncFiles
    ) async throws(StorageError) -> sending RecoveredNode {
        try settings.validate()
        var recovery = Recovery(settings: settings, nodeID: nodeID, bases: bases, files: files)
        try await recovery.read()
        return recovery.result(recovery.reader.replay.sortedServers)
    }

    /// Reads the log of a node, and what its servers have in segments and snapshots.
    ///
    /// - Parameters:
    ///   - dataDirectory: the directory that holds the servers' files.
    ///   - progress: is told how far it has got, often; it must return soon.
    public static func run(
        settings: WALSettings, nodeID: NodeID, dataDirectory: String, files: AsyncFiles,
        progress: @escaping @Sendable (RecoveryProgress) -> Void = { _ in }
    ) async throws(StorageError) -> sending RecoveredNode {
        try settings.validate()
        let contents = try await ServersDirectory(of: dataDirectory, files: files).load(progress)
        var recovery = Recovery(
            settings: settings, nodeID: nodeID, bases: contents.servers.mapValues(\.base), files: files)
        recovery.progress = progress
        for damage in contents.damages { recovery.reader.add(damage) }
        try await recovery.read()
        return recovery.result(with: contents)
    }

    /// What a server has outside the log must fit what the log says.
    private mutating func result(with contents: ServersDirectory.Contents) -> RecoveredNode {
        var servers = reader.replay.sortedServers
        for position in servers.indices {
            servers[position].take(contents.servers[servers[position].creation.uid])
            let directory = servers[position].files?.snapshots.directory.path ?? settings.directory
            for damage in servers[position].lacks(in: directory) { reader.add(damage) }
        }
        var node = result(servers)
        node.deletedDirectories = node.tombstones.map(\.uid).filter { contents.servers[$0] != nil }
        return node
    }

    private func result(_ servers: [RecoveredServer]) -> RecoveredNode {
        let reader = self.reader
        return RecoveredNode(
            servers: servers.filter { !reader.replay.isDamaged($0.creation.uid) }, lost: reader.lost,
            peers: reader.replay.latest.sortedPeers, tombstones: reader.replay.latest.sortedTombstones,
            closedFiles: reader.closedFiles,
            start: WALStart(position: reader.position, latest: reader.replay.latest), report: reader.report)
    }

    private mutating func read() async throws(StorageError) {
        var summaries = try await survey()
        let written = summaries.filter(\.hasBatches)
        reader.begin(with: written.first)
        for (place, summary) in written.enumerated() {
            progress(.logFiles(place, of: written.count))
            try await reader.read(summary, next: place + 1 < written.count ? written[place + 1] : nil)
        }
        let highest = HighestFile(directory: settings.directory, nodeID: reader.nodeID, files: files)
        let noted = try await highest.read()
        // The first tells enough, before the log is refused.
        if let missing = reader.missing(summaries, through: noted).first {
            let path = "\(settings.directory)/\(WALFormat.fileName(missing.lowerBound))"
            reader.add(Damage(file: path, offset: 0, kind: .fileMissing))
        }
        reader.noteGaps()
        try refuseDamage()
        if let last = written.last { try await makeDurable(last) }
        try await keepPrepared(&summaries, behind: written.last?.sequence ?? 0)
        // The preparation of the last file may have been killed between its name and the note of its number.
        if let last = summaries.last?.sequence, last > noted { try await noteHighest(last) }
        reader.position.oldestSequence = reader.replay.oldestSequence
        reader.noteStale(summaries)
        reader.position.nextSequence = (summaries.last?.sequence ?? 0) + 1
        reader.position.files = summaries.count
        reader.position.bytes = summaries.reduce(0) { $0 + $1.size }
    }

    private func refuseDamage() throws(StorageError) {
        let damages = reader.damages
        guard let first = damages.first(where: { $0.server == nil }) else { return }
        throw StorageError(
            .corrupt,
            "the write-ahead log is damaged in \(damages.count) places, first \(first); which servers are concerned "
                + "can't be known. Keep the files; put back a good copy of the directory, or remove this node's "
                + "members from their clusters and add them again with an empty directory",
            damages: damages)
    }
}

// MARK: - The files

extension Recovery {
    /// Looks at every file of the directory, removing unfinished ones.
    private mutating func survey() async throws(StorageError) -> [WALFileSummary] {
        try await syncNames()
        let names = try await list()
        var summaries: [WALFileSummary] = []
        for name in names {
            if name.hasSuffix(".tmp") {
                try await remove(name)
            } else if let sequence = WALFormat.sequence(ofFile: name) {
                summaries.append(try await reader.look(at: name, sequence: sequence))
            }
        }
        return summaries.sorted { $0.sequence < $1.sequence }
    }

    /// Makes the names of the directory durable: a preparation that was killed before it had done so leaves a file
    /// that is there for every reader, and gone after a power failure with all that was written into it.
    private func syncNames() async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            try await files.perform(.syncDirectory(path: settings.directory))
        }
    }

    private func noteHighest(_ sequence: UInt64) async throws(StorageError) {
        let highest = HighestFile(directory: settings.directory, nodeID: reader.nodeID, files: files)
        try await asStorageError { () async throws(FileSystemError) in try await highest.write(sequence) }
    }

    /// Keeps the empty files that directly follow the last one, and removes the others behind it.
    private mutating func keepPrepared(
        _ summaries: inout [WALFileSummary], behind last: UInt64
    ) async throws(StorageError) {
        var kept: [WALFileSummary] = []
        for summary in summaries {
            let follows = summary.sequence == (kept.last?.sequence ?? last) + 1
            if summary.sequence <= last || summary.content == .spent {
                kept.append(summary)
            } else if summary.content == .empty, follows, summary.size == settings.fileBytes,
                let header = summary.header, header.sequence == summary.sequence, header.length == summary.size
            {
                kept.append(summary)
                reader.position.prepared.append(PreparedFile(header: header))
            } else {
                // Whoever is cut off between the two must not find a file missing that held nothing.
                try await noteHighest(kept.last?.sequence ?? 0)
                try await remove(WALFormat.fileName(summary.sequence))
            }
        }
        summaries = kept
    }

    private func list() async throws(StorageError) -> [String] {
        try await asStorageError { () async throws(FileSystemError) in try await files.list(settings.directory) }
    }

    private func remove(_ name: String) async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            try await files.removeIfThere("\(settings.directory)/\(name)")
            try await files.perform(.syncDirectory(path: settings.directory))
        }
    }
}
