import FlotillaWire
import NIOCore

/// One server as its records describe it.
public struct RecoveredServer {
    /// What it was created with.
    public let creation: ServerCreation
    /// Its term and vote.
    public var hardState = HardState.initial
    /// Where its log begins: behind its newest snapshot, or at the first entry.
    public private(set) var base: SnapshotName
    /// Its entries that are not in segments. They begin behind those that are, or where the log begins.
    public let table: MemoryTable
    /// The terms of all its entries behind the base: each run begins at an index and lasts to the next run, or to the
    /// end of the table.
    public var termRuns: [(first: LogIndex, term: Term)] = []
    /// The configurations of its log in order, the one it was created with at index 0, or that of its snapshot, first.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    /// How far it had applied its log; 0 when it never said.
    public var lastApplied: LogIndex = .zero
    /// The last entry that a durable snapshot covers as the write-ahead log says, if there is one.
    public var snapshotFloor: (index: LogIndex, term: Term)?
    /// The leader's time in its last entry that is not in the table.
    public var baseTime: UInt64
    /// Whether what follows the base in the write-ahead log belongs to a log that the base superseded.
    private var isSuperseded: Bool

    init(creation: ServerCreation, base: RecoveredBase = RecoveredBase()) {
        self.creation = creation
        self.base = base.snapshot
        table = MemoryTable(after: base.lastIndex)
        termRuns = base.termRuns
        configurations = [base.snapshotConfiguration ?? (.zero, creation.initial)] + base.configurations
        baseTime = base.lastTime
        isSuperseded = base.isSuperseded
    }
}

// How the records of the write-ahead log change it, in the order in which they were written. What is in segments or
// below the snapshot was in records before, of which some may still be there: they change nothing.
extension RecoveredServer {
    /// Drops entries from an index on. What the base covers stays: it was committed.
    mutating func truncate(from index: LogIndex) {
        let from = max(index, base.index.next)
        guard from <= table.lastIndex else { return }
        if from >= table.firstIndex { table.truncate(from: from) } else { table.reset(after: from.previous) }
        while let last = termRuns.last, last.first >= from { termRuns.removeLast() }
        while let last = configurations.last, last.index >= from, last.index > base.index {
            configurations.removeLast()
        }
    }

    /// Adds entries, in place of those from their first index on; `false` when they don't follow the log.
    mutating func append(
        _ record: EntriesRecord, runs: [(first: LogIndex, term: Term)],
        configurations new: [(index: LogIndex, configuration: ClusterConfiguration)]
    ) -> Bool {
        compareWithBase(record, runs)
        guard record.last > base.index else { return true }
        if isSuperseded { return true }
        let known = max(base.index, sharedWithSegments(record, runs))
        guard record.last > known else { return true }
        let first = max(record.first, known.next)
        guard first <= table.lastIndex.next else { return false }
        truncate(from: first)
        var term = termRuns.last?.term ?? base.term
        for run in runs where end(of: run, in: runs, record) >= first {
            guard run.term >= term else { return false }
            if run.term != termRuns.last?.term { termRuns.append((max(run.first, first), run.term)) }
            term = run.term
        }
        table.append(record.bytes(from: first), first: first, count: record.last - first + 1)
        configurations.append(contentsOf: new.filter { $0.index >= first })
        return true
    }

    /// Takes note of a snapshot; a log that ends before it begins again behind it.
    mutating func raiseFloor(to index: LogIndex, term: Term) {
        snapshotFloor = (index, term)
        if index >= base.index { isSuperseded = false }
        guard index > table.lastIndex else { return }
        base = SnapshotName(index: index, term: term)
        table.reset(after: index)
        termRuns = []
    }

    /// Whether the base's last entry is the record's: if another stands there, the record is of a log that the base
    /// superseded.
    private mutating func compareWithBase(
        _ record: EntriesRecord, _ runs: [(first: LogIndex, term: Term)]
    ) {
        guard base.index > .zero, record.first <= base.index, record.last >= base.index else { return }
        isSuperseded = runs.last { $0.first <= base.index }?.term != base.term
        if isSuperseded { truncate(from: base.index.next) }
    }

    /// The last of the record's entries, from its first on, that is in segments: the same index and term is the same
    /// entry.
    private func sharedWithSegments(_ record: EntriesRecord, _ runs: [(first: LogIndex, term: Term)]) -> LogIndex {
        var index = max(record.first, base.index.next)
        while index < table.firstIndex, index <= record.last {
            guard let own = termRuns.lastIndex(where: { $0.first <= index }),
                let other = runs.lastIndex(where: { $0.first <= index }), termRuns[own].term == runs[other].term
            else { break }
            let ownEnd = own + 1 < termRuns.count ? termRuns[own + 1].first.previous : table.firstIndex.previous
            index = min(ownEnd, table.firstIndex.previous, end(of: runs[other], in: runs, record)).next
        }
        return index.previous
    }

    private func end(
        of run: (first: LogIndex, term: Term), in runs: [(first: LogIndex, term: Term)], _ record: EntriesRecord
    ) -> LogIndex {
        runs.first { $0.first > run.first }?.first.previous ?? record.last
    }
}

extension EntriesRecord {
    /// The encoded entries from one of them on.
    fileprivate func bytes(from index: LogIndex) -> ByteBuffer {
        guard index > first else { return bytes }
        var rest = bytes
        rest.moveReaderIndex(forwardBy: bytes.withUnsafeReadableBytes { EntryRun.byteCount(of: index - first, in: $0) })
        return rest
    }
}

/// What recovery has read, for people.
public struct RecoveryReport: Equatable, Sendable {
    /// How many files held batches.
    public var files = 0
    /// How many bytes of batches were read, padding included.
    public var bytes: UInt64 = 0
    /// How many batches were read.
    public var batches: UInt64 = 0
    /// How many records these held.
    public var records: UInt64 = 0
    /// How many bytes at the end belonged to a batch that was never finished. Nobody was told that it was durable.
    public var tornBytes: UInt64 = 0
    /// Damage by which nothing is lost.
    public var harmless: [Damage] = []
    /// How long it took in nanoseconds; for the caller to fill in, since recovery reads no clock.
    public var nanoseconds: UInt64 = 0

    /// A report of nothing.
    public init() {}
}

/// Everything that a node's write-ahead log holds.
public struct RecoveredNode {
    /// The servers in the order of their creation.
    public var servers: [RecoveredServer]
    /// The other nodes that were met, in the order of their identities.
    public var peers: [KnownPeer]
    /// The servers that were deleted, in the order of their identities.
    public var tombstones: [Tombstone]
    /// What the files of the write-ahead log hold that get no more batches, oldest first.
    public var closedFiles: [WALFileContents]
    /// What the write-ahead log needs to go on.
    public var start: WALStart
    /// What was read.
    public var report: RecoveryReport
}
