import FlotillaWire
import NIOCore

/// Takes a snapshot that comes from another node, as the bytes of its file in their order.
///
/// `begin`, `append` until all bytes are there, `finish`, which verifies them, and `commit`, which gives the file its
/// name. Before the rename in `commit` the server's snapshots are as they were; the unfinished file is removed by
/// `abandon` or at the next start. It has one user at a time, and every receiver ends with `commit` or `abandon`.
package struct SnapshotReceiver: Sendable {
    /// Where it goes.
    package let directory: SnapshotDirectory
    /// The last entry that it includes, as announced.
    package let index: LogIndex
    /// The term of that entry, as announced.
    package let term: Term
    /// The length of the file, as announced.
    package let length: UInt64
    /// How many bytes are there; the next ones must begin here.
    package private(set) var received: UInt64 = 0

    private enum Stage {
        case receiving(OpenFile, AlignedMemory)
        /// Closed, and never to be trusted.
        case failed(StorageError)
        case verified(SnapshotFile, SnapshotMetadata)
        case ended
    }

    private let files: AsyncFiles
    private var stage: Stage

    /// Begins with an empty file; one that was begun before under the same name is gone.
    ///
    /// - Parameters:
    ///   - length: the length of the file, as the sender announced it.
    ///   - limit: the longest file that is accepted.
    /// - Throws: `tooLarge` when the length is above the limit, `corrupt` when it can't be a snapshot's or the index is
    ///   0.
    package static func begin(
        directory: SnapshotDirectory, index: LogIndex, term: Term, length: UInt64,
        limit: UInt64 = SnapshotReceiver.longest, files: AsyncFiles
    ) async throws(StorageError) -> SnapshotReceiver {
        let name = SnapshotFormat.incomingName(index, term)
        guard length <= min(limit, SnapshotFormat.fileBytesMax) else {
            throw StorageError(.tooLarge, "a snapshot of \(length) bytes, the limit is \(limit)")
        }
        guard length >= SnapshotFormat.fileBytesMin, index > .zero else {
            throw directory.damaged(name, at: 0, kind: .fileLength, "\(length) bytes at index \(index) are no snapshot")
        }
        let path = directory.path(of: name)
        let file = try await asStorageError { () async throws(FileSystemError) in
            try await files.removeIfThere(path)
            return try await files.open(path, [.write, .createNew])
        }
        return SnapshotReceiver(
            directory: directory, index: index, term: term, length: length, files: files, file: file)
    }

    /// The longest file that any receiver takes.
    package static let longest = SnapshotFormat.fileBytesMax

    private init(
        directory: SnapshotDirectory, index: LogIndex, term: Term, length: UInt64, files: AsyncFiles, file: OpenFile
    ) {
        self.directory = directory
        self.index = index
        self.term = term
        self.length = length
        self.files = files
        stage = .receiving(file, AlignedMemory(capacity: min(SnapshotFormat.transferBytes, Int(clamping: length))))
    }

    private var name: String { SnapshotFormat.incomingName(index, term) }
    private var path: String { directory.path(of: name) }

    /// Writes the bytes that follow those that are there.
    ///
    /// Bytes from any other offset are left alone, so that a sender that repeats itself or has lost its way learns
    /// where to go on. After an error nothing is added; the same bytes can be tried again, unless it is the disk that
    /// has lost what it was given: the same error comes again then, and only `abandon` is left.
    ///
    /// - Returns: how many bytes are there now.
    /// - Throws: `tooLarge` when there would be more bytes than were announced.
    @discardableResult
    package mutating func append(at offset: UInt64, _ bytes: ByteBuffer) async throws(StorageError) -> UInt64 {
        if case .failed(let error) = stage { throw error }
        guard case .receiving(let file, let memory) = stage, offset == received else { return received }
        guard UInt64(bytes.readableBytes) <= length - received else {
            throw StorageError(.tooLarge, "a snapshot of \(length) bytes as announced has more of them")
        }
        var rest = bytes
        var end = received
        while let part = rest.readSlice(length: min(memory.capacity, rest.readableBytes)), part.readableBytes > 0 {
            memory.store(part)
            let target = end
            try await asStorageError { () async throws(FileSystemError) in
                try await files.perform(.write(file, at: target, count: part.readableBytes, from: memory))
            }
            try await writeOut(file, at: end, count: part.readableBytes)
            end += UInt64(part.readableBytes)
        }
        received = end
        return end
    }

    private mutating func writeOut(_ file: OpenFile, at offset: UInt64, count: Int) async throws(StorageError) {
        do throws(FileSystemError) {
            try await files.writeOut(file, at: offset, count: count)
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await files.perform(.close(file))
            stage = .failed(StorageError(error))
            throw StorageError(error)
        }
    }

    /// Makes the whole file durable and verifies every byte of it; it stays under its temporary name.
    ///
    /// - Throws: `corrupt` with the damage when bytes are missing or wrong, or when it is a snapshot of another cluster,
    ///   index or term than was announced. Missing bytes can still be appended; after any other error only `abandon` is
    ///   left, since nothing makes a file durable any more of which a sync has failed.
    package mutating func finish() async throws(StorageError) -> SnapshotMetadata {
        switch stage {
        case .receiving(let file, _):
            guard received == length else {
                throw directory.damaged(
                    name, at: received, kind: .fileLength, "\(received) of \(length) bytes have come")
            }
            do throws(StorageError) {
                return try await verify(file)
            } catch {
                stage = .failed(error)
                throw error
            }
        case .verified(_, let metadata): return metadata
        case .failed(let error): throw error
        case .ended: preconditionFailure("a receiver that has ended")
        }
    }

    private mutating func verify(_ file: OpenFile) async throws(StorageError) -> SnapshotMetadata {
        try await sync(file)
        var reader = try await SnapshotReader.open(name, in: directory, index: index, term: term, files: files)
        try await reader.use { (reader) async throws(StorageError) in try await reader.verify() }
        let verified = SnapshotFile(
            directory: directory, kind: .snapshot, index: index, term: term, bytes: length,
            liveCount: reader.liveCount)
        stage = .verified(verified, reader.metadata)
        return reader.metadata
    }

    private func sync(_ file: OpenFile) async throws(StorageError) {
        do throws(FileSystemError) {
            try await files.perform(.syncAll(file))
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await files.perform(.close(file))
            throw StorageError(error)
        }
        try await asStorageError { () async throws(FileSystemError) in try await files.perform(.close(file)) }
    }

    /// The live indexes of the verified file. `finish` must have succeeded.
    package func liveIndexes() async throws(StorageError) -> LiveIndexes {
        guard case .verified = stage else { preconditionFailure("a snapshot that was not verified") }
        var reader = try await SnapshotReader.open(name, in: directory, index: index, term: term, files: files)
        return try await reader.use { (reader) async throws(StorageError) in try await reader.liveIndexes() }
    }

    /// Gives the verified file its name as a snapshot, and makes that durable. `finish` must have succeeded.
    ///
    /// When only the sync of the directory fails, the file may be there under its name, which does no harm: it is
    /// whole.
    package mutating func commit() async throws(StorageError) -> SnapshotFile {
        guard case .verified(let file, _) = stage else { preconditionFailure("a snapshot that was not verified") }
        let path = path
        try await asStorageError { () async throws(FileSystemError) in
            try await files.durablyRename(path, to: file.path, in: directory.path)
        }
        stage = .ended
        return file
    }

    /// Removes what has come. What can't be removed now goes at the next start.
    package mutating func abandon() async {
        switch stage {
        case .ended: return
        case .receiving(let file, _): _ = try? await files.perform(.close(file))
        case .failed, .verified: break
        }
        stage = .ended
        _ = try? await files.removeIfThere(path)
    }
}
