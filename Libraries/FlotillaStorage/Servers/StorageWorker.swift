import FlotillaWire
import NIOCore
import Synchronization

/// Does the background jobs on the files of a node's servers.
///
/// Jobs of one kind of one server come one at a time; apart from that it may be used by several at once. It chooses no
/// thread: whoever runs a job has it prefer an executor that may block.
package final class StorageWorker: Sendable {
    let servers: String
    let files: AsyncFiles
    let limits: SegmentLimits
    let reader: SegmentReader
    /// How much a part of a snapshot holds.
    let partBytes: Int
    /// What has come so far of snapshots from other nodes.
    let incoming = Mutex<[ServerUID: IncomingSnapshot]>([:])
    /// What the snapshots need of the log that are being sent.
    let outgoing = Mutex<[(file: SnapshotFile, live: LiveIndexes)]>([])
    /// The servers whose directories are known to be there for good.
    private let made = Mutex<Set<ServerUID>>([])

    /// A worker on a node's data directory.
    ///
    /// - Parameter partBytes: how much of a snapshot goes to another node at once.
    package init(
        dataDirectory: String, limits: SegmentLimits = SegmentLimits(), partBytes: Int = 256 << 10, files: AsyncFiles
    ) {
        self.partBytes = partBytes
        servers = ServersDirectory(of: dataDirectory, files: files).path
        self.files = files
        self.limits = limits
        reader = SegmentReader(servers: servers, files: files)
    }

    /// Does a job.
    package func run(_ job: StorageJob) async -> StorageOutcome {
        let result: Result<StorageOutcome.Value, StorageError>
        do throws(StorageError) {
            result = .success(try await perform(job.work, of: job.server))
        } catch {
            result = .failure(error)
        }
        return StorageOutcome(number: job.number, server: job.server, result: result)
    }

    private func perform(
        _ work: StorageJob.Work, of uid: ServerUID
    ) async throws(StorageError) -> StorageOutcome.Value {
        switch work {
        case .flush(let regions, let number, let salt):
            let writer = SegmentWriter(try await directory(of: uid), limits: limits)
            return .flushed(try await writer.write(regions, from: number, salt: salt))
        case .read(let slices, let maxBytes): return .read(try await read(slices, maxBytes: maxBytes))
        case .lookUp(let wanted): return .lookedUp(try await lookUp(wanted))
        case .snapshot(let order): return .snapshot(try await write(order, of: uid))
        case .promote(let checkpoint): return .snapshot(try await checkpoint.durablyPromote(files))
        case .restore(let file, let take):
            try await restore(file, take)
            return .restored
        case .compact(let order): return try await compact(order, of: uid)
        case .examine(let order): return .examined(try await repair(order, of: uid).missing())
        case .repair(let order, let found): return .repaired(try await repair(order, of: uid).write(found))
        case .removeSegments(let numbers):
            try await removeSegments(numbers, of: uid)
            return .done
        case .removeSnapshots(let obsolete):
            try await SnapshotSet.durablyRemove(obsolete, files: files)
            return .done
        case .readPart(let file, let segments, let position):
            return .part(try await readPart(of: file, segments, at: position))
        case .writePart(let order): return .progress(try await writePart(order, of: uid))
        case .commit(let name): return try await commit(name, of: uid)
        case .abandon:
            await abandon(uid)
            return .done
        case .removeServer:
            try await remove(uid)
            return .done
        }
    }

    /// The segment files of a server, whose directory is there for good.
    func directory(of uid: ServerUID) async throws(StorageError) -> SegmentFiles {
        let path = SegmentFormat.directory(of: uid, in: servers)
        if !made.withLock({ $0.contains(uid) }) {
            try await asStorageError { () async throws(FileSystemError) in try await files.durablyMakeDirectory(path) }
            made.withLock { _ = $0.insert(uid) }
        }
        return SegmentFiles(directory: path, uid: uid, files: files)
    }

    // MARK: Entries

    private func read(_ slices: [SegmentSlice], maxBytes: Int) async throws(StorageError) -> [MemoryTable.Region] {
        do throws(SegmentReadError) { return try await reader.entries(slices, maxBytes: maxBytes) } catch {
            throw StorageError(error)
        }
    }

    private func lookUp(
        _ wanted: [(index: LogIndex, segment: Segment?)]
    ) async throws(StorageError) -> [ByteBuffer?] {
        var entries: [ByteBuffer?] = []
        entries.reserveCapacity(wanted.count)
        for (index, segment) in wanted {
            guard let segment else {
                entries.append(nil)
                continue
            }
            switch await reader.entry(at: index, in: segment) {
            case .entry(let entry): entries.append(entry)
            case .missing, .unreadable(.removed): entries.append(nil)
            case .unreadable(let error): throw StorageError(error)
            }
        }
        return entries
    }

    // MARK: Snapshots

    private func write(_ order: SnapshotOrder, of uid: ServerUID) async throws(StorageError) -> SnapshotFile {
        let directory = SnapshotDirectory(
            path: try await directory(of: uid).directory, server: uid, cluster: order.metadata.cluster)
        do {
            return try await SnapshotWriter(directory: directory, files: files).write(
                order.metadata, kind: order.kind, live: order.live(), sessions: order.sessions(), salt: order.salt,
                pieces: order.pieces)
        } catch let error as StorageError {
            throw error
        } catch {
            throw StorageError(.machine, "the machine of \(uid) can't be written down: \(error)")
        }
    }

    private func restore(
        _ file: SnapshotFile, _ take: @Sendable (SnapshotPiece) throws -> Void
    ) async throws(StorageError) {
        try await SnapshotReader.with(file, files: files) { (reader) async throws(StorageError) in
            while let piece = try await reader.nextPiece() {
                do { try take(piece) } catch {
                    throw StorageError(.machine, "the machine refuses what is in \(file.path): \(error)")
                }
            }
        }
    }

    // MARK: Compaction

    private func compact(
        _ order: CompactionOrder, of uid: ServerUID
    ) async throws(StorageError) -> StorageOutcome.Value {
        let live = try await SnapshotReader.with(order.snapshot, files: files) {
            (reader) async throws(StorageError) in try await reader.liveIndexes()
        }
        var set = order.segments
        var outcome = CompactionOutcome()
        // What was hidden by one that is gone may go next.
        while case let dead = set.disposable(through: order.through, live: live), !dead.isEmpty {
            set.remove(numbers: dead)
            outcome.needless += dead
        }
        guard order.isMajor else { return .compacted(outcome) }
        let compactor = SegmentCompactor(try await directory(of: uid), limits: limits)
        do throws(StorageError) {
            for group in set.compactionGroups(through: order.through, live: live, limits: limits) {
                guard
                    let segment = try await compactor.rewrite(
                        group, live: live, into: set.nextNumber, salt: order.salt)
                else { continue }
                outcome.needless += set.add(segment)
                outcome.written.append(segment)
            }
        } catch {
            // What was found to be needless is so all the same, and its removal may be what the rest waits for.
            outcome.failure = error
        }
        return .compacted(outcome)
    }

    private func repair(_ order: RepairOrder, of uid: ServerUID) async throws(StorageError) -> SegmentRepair {
        var live = LiveIndexes()
        if let snapshot = order.snapshot {
            live = try await SnapshotReader.with(snapshot, files: files) { (reader) async throws(StorageError) in
                try await reader.liveIndexes()
            }
        }
        return SegmentRepair(files: try await directory(of: uid), reader: reader, order: order, live: live)
    }

    private func removeSegments(_ numbers: [UInt64], of uid: ServerUID) async throws(StorageError) {
        try await directory(of: uid).remove(numbers)
        await reader.forget(uid, numbers: numbers)
    }

    // MARK: The end of a server

    private func remove(_ uid: ServerUID) async throws(StorageError) {
        await abandon(uid)
        await reader.forget(uid)
        made.withLock { _ = $0.remove(uid) }
        let path = SegmentFormat.directory(of: uid, in: servers)
        do throws(FileSystemError) {
            for name in try await files.list(path) { try await files.removeIfThere("\(path)/\(name)") }
            try await files.perform(.removeDirectory(path: path))
            try await files.perform(.syncDirectory(path: servers))
        } catch {
            guard error.isNotFound else { throw StorageError(error) }
        }
    }
}

extension StorageError {
    /// Why an entry can't be had.
    init(_ error: SegmentReadError) {
        switch error {
        case .damaged(let damage, _):
            self.init(.corrupt, "an entry in a segment is damaged: \(damage)", damages: [damage])
        case .failed(let failure, _): self = failure
        case .removed(let segment): self.init(.gone, "segment \(segment.number) of server \(segment.uid) is gone")
        }
    }
}
