import FlotillaWire
import NIOCore

/// One part of what a snapshot holds.
package enum SnapshotPiece: Sendable, Equatable {
    /// Live indexes, to be read with `LiveIndexes.append(encoded:)`, which will take them.
    case live(ByteBuffer)
    /// Client sessions.
    case session(ByteBuffer)
    /// A piece of the machine's state, as its writer was given it.
    case state(ByteBuffer)
}

/// Reads one snapshot file, believing no byte that is not under a checksum that is right.
///
/// Whoever opens a reader closes it. It has one user at a time, since copies of it share the open file and the memory
/// that it reads into. An error changes nothing: the same call can be repeated, and tells the same of damage.
package struct SnapshotReader: Sendable {
    /// What the snapshot says of itself.
    package let metadata: SnapshotMetadata
    /// The length of the file in bytes.
    package let byteCount: UInt64
    /// How many live indexes it holds.
    package let liveCount: Int

    private let directory: SnapshotDirectory
    private let name: String
    private let end: SnapshotEnd
    private let seed: UInt32
    private let blocksStart: UInt64
    private var bytes: SnapshotBytes
    private var progress: Progress

    /// How far the blocks have been read.
    private struct Progress {
        var offset: UInt64
        var tally = SnapshotTally()
        var kind = SnapshotBlockKind.live
        var lastLive = LogIndex.zero
    }

    /// Opens a snapshot and checks its header, its metadata and its end block.
    ///
    /// - Throws: `corrupt` with the damage when one of them is wrong or it is another snapshot than its name says,
    ///   `version` when it has another format.
    package static func open(_ file: SnapshotFile, files: AsyncFiles) async throws(StorageError) -> SnapshotReader {
        try await open(file.name, in: file.directory, index: file.index, term: file.term, files: files)
    }

    static func open(
        _ name: String, in directory: SnapshotDirectory, index: LogIndex, term: Term, files: AsyncFiles
    ) async throws(StorageError) -> SnapshotReader {
        var bytes = try await SnapshotBytes.open(name, in: directory, files: files)
        do throws(StorageError) {
            let opening = try await SnapshotOpening(name, in: directory, &bytes)
            try opening.check(cluster: directory.cluster, index: index, term: term)
            return SnapshotReader(name, in: directory, opening, bytes)
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await bytes.close()
            throw error
        }
    }

    private init(
        _ name: String, in directory: SnapshotDirectory, _ opening: SnapshotOpening, _ bytes: SnapshotBytes
    ) {
        self.name = name
        self.directory = directory
        self.bytes = bytes
        metadata = opening.metadata
        byteCount = bytes.size
        liveCount = opening.liveCount
        end = opening.end
        seed = opening.seed
        blocksStart = opening.blocksStart
        progress = Progress(offset: opening.blocksStart)
    }

    /// Opens a snapshot, lets `body` use it, and closes it whatever happens.
    package static func with<Value>(
        _ file: SnapshotFile, files: AsyncFiles, _ body: (inout SnapshotReader) async throws(StorageError) -> Value
    ) async throws(StorageError) -> Value {
        var reader = try await open(file, files: files)
        return try await reader.use(body)
    }

    /// Lets `body` use the reader, and closes it whatever happens.
    mutating func use<Value>(
        _ body: (inout SnapshotReader) async throws(StorageError) -> Value
    ) async throws(StorageError) -> Value {
        let value: Value
        do throws(StorageError) {
            value = try await body(&self)
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await close()
            throw error
        }
        try await close()
        return value
    }

    /// Where the next block begins, which is the one that an error was about.
    var offset: UInt64 { progress.offset }

    /// Closes the file; the reader must not be used any more.
    package func close() async throws(StorageError) { try await bytes.close() }
}

// MARK: - Blocks

extension SnapshotReader {
    /// The next piece: all live indexes come first, then sessions, then the state; `nil` behind the last.
    ///
    /// That all of it is whole is known only when `nil` has come.
    package mutating func nextPiece() async throws(StorageError) -> SnapshotPiece? {
        let offset = progress.offset
        guard offset < byteCount - UInt64(SnapshotEnd.byteCount) else {
            guard progress.tally == end.tally else {
                throw damaged(at: offset, kind: .snapshotEnd, "the blocks are not those that its end block counts")
            }
            return nil
        }
        let (kind, block, checksum) = try await nextBlock(at: offset)
        let span = SnapshotBlock.byteCount + Int(block.length)
        let payload = try await bytes.read(at: offset + UInt64(SnapshotBlock.byteCount), count: Int(block.length))
        guard block.matches(payload) else {
            throw damaged(at: offset, length: span, "the checksum of a block's payload does not match")
        }
        var next = progress
        next.offset += UInt64(span)
        next.kind = kind
        next.tally.add(kind, checksum: checksum)
        let piece = try piece(kind, payload, at: offset, &next)
        progress = next
        return piece
    }

    /// The block that begins at `offset`, with a length that stays in front of the end block.
    private mutating func nextBlock(
        at offset: UInt64
    ) async throws(StorageError) -> (kind: SnapshotBlockKind, block: SnapshotBlock, checksum: UInt32) {
        let room = byteCount - UInt64(SnapshotEnd.byteCount) - offset
        guard room >= SnapshotBlock.byteCount else { throw damaged(at: offset, "no room for a block") }
        let head = try await bytes.read(at: offset, count: SnapshotBlock.byteCount)
        guard let (block, checksum) = SnapshotBlock.load(from: head, seed: seed, offset: offset) else {
            throw damaged(at: offset, "the checksum of a block's head does not match")
        }
        guard let kind = SnapshotBlockKind(rawValue: block.kind) else {
            throw StorageError(
                .version,
                "\(directory.path(of: name)) has a block of kind \(block.kind), which this program does not know")
        }
        guard kind != .end, kind.rawValue >= progress.kind.rawValue else {
            throw damaged(at: offset, "a block of kind \(kind) behind one of kind \(progress.kind)")
        }
        guard Int(block.length) <= SnapshotFormat.pieceBytesMax,
            UInt64(block.length) <= room - UInt64(SnapshotBlock.byteCount)
        else { throw damaged(at: offset, "a block of \(block.length) bytes does not fit") }
        return (kind, block, checksum)
    }

    private func piece(
        _ kind: SnapshotBlockKind, _ payload: ByteBuffer, at offset: UInt64, _ next: inout Progress
    ) throws(StorageError) -> SnapshotPiece {
        switch kind {
        case .state: return .state(payload)
        case .session: return .session(payload)
        case .live:
            try count(payload, at: offset, &next)
            return .live(payload)
        case .end: throw damaged(at: offset, "an end block before the end")
        }
    }

    /// Counts the live indexes of a piece, which must ascend from piece to piece and stay within the snapshot.
    private func count(
        _ payload: ByteBuffer, at offset: UInt64, _ next: inout Progress
    ) throws(StorageError) {
        var live = LiveIndexes()
        do { try live.append(encoded: payload) } catch { throw damaged(at: offset, error.message) }
        guard let first = live.ascending.first, first > next.lastLive, let last = live.last, last <= metadata.index
        else { throw damaged(at: offset, "live indexes that do not ascend, or that are above the snapshot") }
        next.lastLive = last
        next.tally.liveIndexes += UInt64(live.count)
    }

    private func damaged(
        at offset: UInt64, length: Int = 0, kind: Damage.Kind = .snapshotBlock, _ reason: String
    ) -> StorageError {
        directory.damaged(name, at: offset, length: UInt64(length), kind: kind, reason)
    }
}

// MARK: - Whole files

extension SnapshotReader {
    /// Reads the file from its first block to its end and checks every byte; what comes next is the first piece again.
    package mutating func verify() async throws(StorageError) {
        rewind()
        while try await nextPiece() != nil {}
        rewind()
    }

    /// All live indexes, without reading the state; what comes next is the first piece again.
    package mutating func liveIndexes() async throws(StorageError) -> LiveIndexes {
        rewind()
        var live = LiveIndexes()
        while progress.tally.livePieces < end.tally.livePieces, case .live(let piece)? = try await nextPiece() {
            do { try live.append(encoded: piece) } catch { throw damaged(at: progress.offset, error.message) }
        }
        guard live.count == liveCount, progress.tally.livePieces == end.tally.livePieces else {
            throw damaged(at: progress.offset, kind: .snapshotEnd, "\(live.count) live indexes instead of \(liveCount)")
        }
        rewind()
        return live
    }

    private mutating func rewind() { progress = Progress(offset: blocksStart) }

    /// Bytes of the file as they are, for sending it: up to `count`, but 1 MiB at most, and fewer at the end of the
    /// file; none from an offset behind it. They are not verified, which is for the receiver to do.
    package mutating func read(at offset: UInt64, count: Int) async throws(StorageError) -> ByteBuffer {
        guard offset < byteCount, count > 0 else { return ByteBuffer() }
        let rest = Int(clamping: byteCount - offset)
        return try await bytes.read(at: offset, count: min(count, rest, SnapshotFormat.transferBytes))
    }
}
