import FlotillaWire
import NIOCore

/// A node's data directory: locked, known to be this node's, its incarnation raised.
///
/// It holds `LOCK`, the identity file `node`, and `wal/` unless the write-ahead log has a directory of its own. The
/// directory of the log holds an identity file `owner`, so that a wrong one is noticed.
public struct DataDirectory: Sendable {
    /// The directory's path.
    public let path: String
    /// The path of the write-ahead log's directory.
    public let walPath: String
    /// The identity that the directory got when it was made.
    public let nodeID: NodeID
    /// The node's name.
    public let name: NodeName
    /// How often the node has been started on it, this time included; durable.
    public let incarnation: Incarnation
    private let lock: OpenFile

    /// Opens a data directory, or makes one that is not there.
    ///
    /// - Parameters:
    ///   - walPath: a directory of its own for the write-ahead log; `nil` for `wal` inside `path`.
    ///   - newNodeID: the identity that a new directory gets; to be drawn at random.
    /// - Throws: `locked` when another process uses it, `wrongNode` when it belongs to a node of another name or the
    ///   log's directory to another node, `version` and `corrupt` for an identity file that can't be read.
    public static func open(
        path: String, walPath: String? = nil, name: NodeName, newNodeID: NodeID, files: AsyncFiles
    ) async throws(StorageError) -> DataDirectory {
        precondition(newNodeID != .none, "a node without an identity")
        let opening = Opening(path: path, walPath: walPath ?? "\(path)/wal", name: name, files: files)
        try await opening.makeDirectory()
        let lock = try await opening.takeLock()
        do throws(StorageError) {
            let identity = try await opening.identity(newNodeID: newNodeID)
            return DataDirectory(
                path: path, walPath: opening.walPath, nodeID: identity.nodeID, name: name,
                incarnation: identity.incarnation, lock: lock)
        } catch {
            // The first error is the one to tell; closing lets go of the lock.
            _ = try? await files.perform(.close(lock))
            throw error
        }
    }

    /// Lets go of the lock. The directory must not be used any more.
    public func close(_ files: AsyncFiles) async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in _ = try await files.perform(.close(lock)) }
    }
}

/// The steps of opening a data directory.
private struct Opening {
    static let identityName = NodeIdentity.Place.data.fileName
    static let ownerName = NodeIdentity.Place.writeAheadLog.fileName

    let path: String
    let walPath: String
    let name: NodeName
    let files: AsyncFiles

    /// Makes the directory unless it is there with an identity, which it gets only once its name is durable.
    func makeDirectory() async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            guard try await files.size("\(path)/\(Self.identityName)") == nil else { return }
            try await files.durablyMakeDirectory(path)
        }
    }

    func takeLock() async throws(StorageError) -> OpenFile {
        let lockPath = "\(path)/LOCK"
        let file = try await asStorageError { () async throws(FileSystemError) in
            try await files.open(lockPath, [.write, .create])
        }
        do throws(FileSystemError) {
            try await files.perform(.lock(file))
            return file
        } catch {
            // The refusal is what counts; the file held no lock.
            _ = try? await files.perform(.close(file))
            guard error.isLocked else { throw StorageError(error) }
            throw StorageError(
                .locked, "the data directory \(path) is in use by another process, which holds \(lockPath)")
        }
    }

    /// Reads or makes the identity, and makes its next incarnation durable.
    func identity(newNodeID: NodeID) async throws(StorageError) -> NodeIdentity {
        var identity: NodeIdentity
        if let found = try await NodeIdentity.read(.data, in: path, files: files) {
            identity = found
            guard identity.name == name else {
                throw StorageError(
                    .wrongNode, "the data directory \(path) belongs to node \(identity.name), not to \(name)")
            }
            try await checkOwner(identity.nodeID)
        } else {
            identity = NodeIdentity(nodeID: newNodeID, incarnation: Incarnation(0), name: name)
            try await makeLogDirectory(identity)
        }
        guard identity.incarnation.rawValue < UInt64.max else {
            throw StorageError(.corrupt, "\(path)/\(Self.identityName) says an impossible incarnation")
        }
        identity.incarnation.rawValue += 1
        try await write(identity, .data, in: path)
        return identity
    }

    private func checkOwner(_ nodeID: NodeID) async throws(StorageError) {
        guard let owner = try await NodeIdentity.read(.writeAheadLog, in: walPath, files: files) else {
            throw StorageError(
                .wrongNode,
                "\(walPath) is not the write-ahead log of the node in \(path): it has no file '\(Self.ownerName)'")
        }
        guard owner.nodeID == nodeID else {
            throw StorageError(
                .wrongNode,
                "the write-ahead log in \(walPath) belongs to node \(owner.nodeID), the data directory \(path) to "
                    + "\(nodeID)")
        }
    }

    /// Makes the directory of a new node's log. One that holds files of a log already belongs to somebody.
    private func makeLogDirectory(_ identity: NodeIdentity) async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            try await files.durablyMakeDirectory(walPath)
        }
        let names = try await asStorageError { () async throws(FileSystemError) in try await files.list(walPath) }
        guard !names.contains(where: { WALFormat.sequence(ofFile: $0) != nil }) else {
            throw StorageError(
                .wrongNode,
                "\(walPath) holds a write-ahead log, but the data directory \(path) has no identity file "
                    + "'\(Self.identityName)'")
        }
        try await write(identity, .writeAheadLog, in: walPath)
    }

    private func write(
        _ identity: NodeIdentity, _ place: NodeIdentity.Place, in directory: String
    ) async throws(StorageError) {
        let bytes = identity.encoded(for: place)
        let memory = AlignedMemory(capacity: bytes.readableBytes)
        bytes.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            memory.base.copyMemory(from: base, byteCount: bytes.count)
        }
        try await asStorageError { () async throws(FileSystemError) in
            try await files.durablyReplace(place.fileName, in: directory, count: bytes.readableBytes, from: memory)
        }
    }
}
