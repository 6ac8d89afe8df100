import FlotillaWire
import NIOCore

/// Why a snapshot was not written, although every file did what it should.
package enum SnapshotRefusal: Error, Equatable {
    /// The caller did not want it any more.
    case cancelled
    /// A piece of the machine's state has so many bytes, more than a block may hold.
    case pieceTooLong(Int)
    /// The machine says that it needs an entry that the snapshot does not include.
    case liveIndexOutside(LogIndex)
    /// No reader would take the metadata.
    case metadata
}

/// Writes snapshots and checkpoints of one server: a job for the background, one at a time.
package struct SnapshotWriter: Sendable {
    private let directory: SnapshotDirectory
    private let files: AsyncFiles

    /// A writer into a directory that is there durably.
    package init(directory: SnapshotDirectory, files: AsyncFiles) {
        self.directory = directory
        self.files = files
    }

    /// Writes one file under a temporary name, syncs it, and gives it its name durably.
    ///
    /// No more than one piece and one transfer are held in memory at a time. Until the rename everything is as it was,
    /// and whatever goes wrong before it removes the temporary file. A file that already has the name is replaced; it
    /// holds the same state. When only the sync of the directory fails, the file may be there under its name, which
    /// does no harm: it is whole.
    ///
    /// - Parameters:
    ///   - metadata: must be of the directory's cluster.
    ///   - live: the entries that the machine still needs, all of them included in the snapshot.
    ///   - sessions: the client sessions as the machine's host encodes them, in pieces of 16 MiB and 64 KiB at most.
    ///   - salt: a random number, so that no block of another file is ever taken for one of this.
    ///   - isCancelled: asked before each piece and before the end; it may be asked on any thread.
    ///   - pieces: gives the machine's state piece by piece, each of 16 MiB and 64 KiB at most, then `nil`.
    /// - Throws: what `pieces` throws, `SnapshotRefusal`, or `StorageError`.
    package func write(
        _ metadata: SnapshotMetadata, kind: SnapshotKind, live: LiveIndexes, sessions: [ByteBuffer] = [],
        salt: UInt64, isCancelled: @Sendable () -> Bool = { false }, pieces: () throws -> ByteBuffer?
    ) async throws -> SnapshotFile {
        precondition(metadata.cluster == directory.cluster, "a snapshot of another cluster")
        try Self.check(metadata, live)
        let name = SnapshotFile.name(kind, metadata.index, metadata.term)
        let temporary = directory.path(of: name + SnapshotFormat.temporarySuffix)
        do {
            try await asStorageError { () async throws(FileSystemError) in try await files.removeIfThere(temporary) }
            let length = try await fill(
                temporary, metadata, live: live, sessions: sessions, salt: salt, isCancelled: isCancelled,
                pieces: pieces)
            try await asStorageError { () async throws(FileSystemError) in
                try await files.durablyRename(temporary, to: directory.path(of: name), in: directory.path)
            }
            return SnapshotFile(
                directory: directory, kind: kind, index: metadata.index, term: metadata.term, bytes: length,
                liveCount: live.count)
        } catch {
            // Frees the space; what can't be removed now goes at the next start. The first error is the one to tell.
            _ = try? await files.removeIfThere(temporary)
            throw error
        }
    }

    /// Refuses what could be written and never be read again: the log below it would be gone by then.
    private static func check(_ metadata: SnapshotMetadata, _ live: LiveIndexes) throws(SnapshotRefusal) {
        for index in [live.ascending.first, live.last] {
            if let index, index == .zero || index > metadata.index { throw .liveIndexOutside(index) }
        }
        var encoded = ByteBuffer()
        metadata.encode(into: &encoded)
        var reader = WireReader(encoded)
        guard encoded.readableBytes <= SnapshotFormat.metadataBytesMax,
            (try? SnapshotMetadata(from: &reader)) == metadata
        else { throw .metadata }
    }

    private func fill(
        _ path: String, _ metadata: SnapshotMetadata, live: LiveIndexes, sessions: [ByteBuffer], salt: UInt64,
        isCancelled: @Sendable () -> Bool, pieces: () throws -> ByteBuffer?
    ) async throws -> UInt64 {
        let file = try await asStorageError { () async throws(FileSystemError) in
            try await files.open(path, [.write, .createNew])
        }
        let length: UInt64
        do {
            var sink = try await SnapshotSink(metadata, salt: salt, into: file, files)
            try await appendLive(live, to: &sink, isCancelled)
            for piece in sessions { try await append(piece, .session, to: &sink) }
            try await appendState(pieces, to: &sink, isCancelled)
            length = try await sink.finish()
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await files.perform(.close(file))
            throw error
        }
        try await asStorageError { () async throws(FileSystemError) in try await files.perform(.close(file)) }
        return length
    }

    private func appendLive(
        _ live: LiveIndexes, to sink: inout SnapshotSink, _ isCancelled: @Sendable () -> Bool
    ) async throws {
        var rest = live.count
        for piece in live.encodedPieces() {
            if isCancelled() { throw SnapshotRefusal.cancelled }
            let count = min(rest, LiveIndexes.pieceCount)
            rest -= count
            try await sink.appendBlock(.live, piece, liveIndexes: count)
        }
    }

    private func appendState(
        _ pieces: () throws -> ByteBuffer?, to sink: inout SnapshotSink, _ isCancelled: @Sendable () -> Bool
    ) async throws {
        while !isCancelled() {
            guard let piece = try pieces() else { return }
            try await append(piece, .state, to: &sink)
        }
        throw SnapshotRefusal.cancelled
    }

    private func append(
        _ piece: ByteBuffer, _ kind: SnapshotBlockKind, to sink: inout SnapshotSink
    ) async throws {
        guard piece.readableBytes <= SnapshotFormat.pieceBytesMax else {
            throw SnapshotRefusal.pieceTooLong(piece.readableBytes)
        }
        try await sink.appendBlock(kind, piece)
    }
}
