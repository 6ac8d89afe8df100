import FlotillaStorage
import FlotillaWire
import NIOCore

/// The directory of one server on a disk in memory, and snapshots to put there.
struct SnapshotDisk {
    static let directory = SnapshotDirectory(path: "/servers/1", server: Sample.uid(1), cluster: Sample.clusterID)

    let disk: MemoryFileSystem
    let files: AsyncFiles

    /// An empty directory.
    init() async throws {
        self.init(copying: MemoryFileSystem())
        try await files.durablyMakeDirectory(Self.directory.path)
    }

    /// A disk with the contents of another one as they are now.
    init(copying other: SnapshotDisk) { self.init(copying: other.disk) }

    private init(copying other: MemoryFileSystem) {
        var made = other
        files = AsyncFiles { handler in
            made = MemoryFileSystem(copying: other, handler: handler)
            return made
        }
        disk = made
    }

    var names: [String] { disk.names(in: Self.directory.path) }

    func path(_ name: String) -> String { "\(Self.directory.path)/\(name)" }

    func load() async throws(StorageError) -> (set: SnapshotSet, damages: [Damage]) {
        try await SnapshotSet.load(directory: Self.directory, files: files)
    }

    /// Writes a snapshot or checkpoint.
    func write(
        _ kind: SnapshotKind = .snapshot, at index: UInt64 = 100, term: UInt64 = 7, pieces: [ByteBuffer] = [],
        live: LiveIndexes = LiveIndexes(), salt: UInt64 = 0x5a17
    ) async throws -> SnapshotFile {
        try await write(Sample.metadata(index, term: term), kind, pieces: pieces, live: live, salt: salt)
    }

    /// Writes a snapshot or checkpoint of other metadata.
    func write(
        _ metadata: SnapshotMetadata, _ kind: SnapshotKind = .snapshot, pieces: [ByteBuffer] = [],
        live: LiveIndexes = LiveIndexes(), salt: UInt64 = 0x5a17
    ) async throws -> SnapshotFile {
        let directory = SnapshotDirectory(
            path: Self.directory.path, server: Self.directory.server, cluster: metadata.cluster)
        var rest = pieces[...]
        return try await SnapshotWriter(directory: directory, files: files)
            .write(metadata, kind: kind, live: live, salt: salt) { rest.popFirst() }
    }

    /// What a snapshot holds, read to its end.
    func read(_ file: SnapshotFile) async throws(StorageError) -> SnapshotContents {
        try await SnapshotReader.with(file, files: files) { (reader) async throws(StorageError) in
            var contents = SnapshotContents(metadata: reader.metadata)
            while let piece = try await reader.nextPiece() { try contents.add(piece) }
            return contents
        }
    }

    /// A copy of this disk on which one file is changed.
    func changed(_ file: SnapshotFile, _ change: (inout [UInt8]) -> Void) -> SnapshotDisk {
        let copy = SnapshotDisk(copying: self)
        copy.disk.change(file.path, change)
        return copy
    }
}

/// What was read of a snapshot.
struct SnapshotContents: Equatable {
    var metadata: SnapshotMetadata
    var pieces: [ByteBuffer] = []
    var sessions: [ByteBuffer] = []
    var live = LiveIndexes()

    init(metadata: SnapshotMetadata) { self.metadata = metadata }

    mutating func add(_ piece: SnapshotPiece) throws(StorageError) {
        switch piece {
        case .state(let bytes): pieces.append(bytes)
        case .session(let bytes): sessions.append(bytes)
        case .live(let bytes):
            do { try live.append(encoded: bytes) } catch { throw StorageError(.corrupt, error.message) }
        }
    }
}

extension Sample {
    static func metadata(_ index: UInt64, term: UInt64, cluster: ClusterID = clusterID) -> SnapshotMetadata {
        SnapshotMetadata(
            cluster: cluster, index: LogIndex(index), term: Term(term), time: 1_234_567, machineVersion: 3,
            machine: "kv", configuration: configuration(1), configurationIndex: 1)
    }

    /// Pieces of state with these lengths. They repeat themselves with a period that no transfer is a multiple of.
    static func pieces(_ lengths: Int...) -> [ByteBuffer] {
        lengths.enumerated().map { place, length in
            let pattern = (0..<1_021).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ ($0 >> 8) &+ place &* 31) }
            var piece = ByteBuffer()
            while piece.readableBytes < length { piece.writeBytes(pattern.prefix(length - piece.readableBytes)) }
            return piece
        }
    }

    static func live(_ indexes: [UInt64]) -> LiveIndexes { LiveIndexes(indexes.map { LogIndex($0) }) }
}
