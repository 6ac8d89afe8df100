import FlotillaWire

/// The directory that holds one server's snapshots, and whose they are.
package struct SnapshotDirectory: Sendable, Hashable {
    /// Where it is. Whoever writes into it must have made it durably.
    package let path: String
    /// The server, which reports of damage name.
    package let server: ServerUID
    /// The cluster of which every snapshot in it must be; `none` where that is not known yet.
    package let cluster: ClusterID

    /// A directory of these parts.
    package init(path: String, server: ServerUID, cluster: ClusterID) {
        self.path = path
        self.server = server
        self.cluster = cluster
    }

    func path(of name: String) -> String { "\(path)/\(name)" }

    /// An error that tells damage in one of the directory's files.
    func damaged(
        _ name: String, at offset: UInt64, length: UInt64 = 0, kind: Damage.Kind, _ reason: String
    ) -> StorageError {
        let path = path(of: name)
        return StorageError(
            .corrupt, "\(path) is damaged at offset \(offset): \(reason)",
            damages: [Damage(file: path, offset: offset, length: length, kind: kind, server: server)])
    }
}

/// For what a file of the format is kept.
package enum SnapshotKind: String, Sendable, CaseIterable, CustomStringConvertible {
    /// The log at or below it may be gone.
    case snapshot
    /// It truncates nothing, and may become a snapshot.
    case checkpoint

    /// The word with which the names of its files begin.
    package var description: String { rawValue }
}

/// A snapshot or checkpoint that is whole and under its name.
package struct SnapshotFile: Sendable, Hashable {
    /// The server's directory.
    package let directory: SnapshotDirectory
    /// For what it is kept.
    package let kind: SnapshotKind
    /// The last entry that it includes.
    package let index: LogIndex
    /// The term of that entry.
    package let term: Term
    /// The length of the file.
    package let bytes: UInt64
    /// How many live indexes it holds.
    package let liveCount: Int

    /// A description of these parts.
    package init(
        directory: SnapshotDirectory, kind: SnapshotKind, index: LogIndex, term: Term, bytes: UInt64, liveCount: Int
    ) {
        self.directory = directory
        self.kind = kind
        self.index = index
        self.term = term
        self.bytes = bytes
        self.liveCount = liveCount
    }

    func moved(to owner: SnapshotDirectory) -> SnapshotFile {
        SnapshotFile(directory: owner, kind: kind, index: index, term: term, bytes: bytes, liveCount: liveCount)
    }

    /// Its name: the kind, then index and term as sixteen lower-case hexadecimal digits each.
    package var name: String { Self.name(kind, index, term) }
    /// Its path.
    package var path: String { directory.path(of: name) }

    /// Renames a checkpoint so that it is a snapshot, and makes that durable.
    ///
    /// - Returns: the snapshot, which takes the checkpoint's place.
    package func durablyPromote(_ files: AsyncFiles) async throws(StorageError) -> SnapshotFile {
        precondition(kind == .checkpoint, "only a checkpoint can become a snapshot")
        let promoted = SnapshotFile(
            directory: directory, kind: .snapshot, index: index, term: term, bytes: bytes, liveCount: liveCount)
        try await asStorageError { () async throws(FileSystemError) in
            try await files.durablyRename(path, to: promoted.path, in: directory.path)
        }
        return promoted
    }

    static func name(_ kind: SnapshotKind, _ index: LogIndex, _ term: Term) -> String {
        "\(kind)-\(SnapshotFormat.digits(index.rawValue))-\(SnapshotFormat.digits(term.rawValue)).snap"
    }

    /// What a name says; `nil` for a name that is not a snapshot's.
    static func parts(of name: String) -> (kind: SnapshotKind, index: LogIndex, term: Term)? {
        let fields = name.split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 3, let kind = SnapshotKind(rawValue: String(fields[0])), fields[2].hasSuffix(".snap"),
            let index = UInt64(fields[1], radix: 16), let term = UInt64(fields[2].dropLast(5), radix: 16),
            Self.name(kind, LogIndex(index), Term(term)) == name
        else { return nil }
        return (kind, LogIndex(index), Term(term))
    }
}
