import FlotillaWire

/// One server as its records describe it, over what stands of it in snapshots and segments.
public struct RecoveredServer {
    /// What it was created with.
    public let creation: ServerCreation
    /// Its term and vote.
    public var hardState = HardState.initial
    /// The last entry that its newest snapshot covers; index zero without one. Its log begins behind it.
    public private(set) var snapshot: SnapshotName
    /// Its entries that are not in segments; also those that the snapshot covers, since the machine may need some.
    public var table: MemoryTable { entries.table }
    private(set) var entries: RecoveredEntries
    /// The terms of its entries, from the first that is in a segment or in the table on: each run begins at an index and
    /// lasts to the next run, or to the end of the table.
    public var termRuns: [(first: LogIndex, term: Term)]
    /// The configurations of its log in order, the one it was created with at index 0, or that of its snapshot, first.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    /// How far it had applied its log; 0 when it never said.
    public var lastApplied: LogIndex = .zero
    /// The last entry that a durable snapshot covers as the write-ahead log says, if there is one.
    public var snapshotFloor: (index: LogIndex, term: Term)?
    /// The leader's time in its last entry that is not in the table, or at the snapshot's end.
    public var baseTime: UInt64
    /// Its segments and snapshots; `nil` where nobody looked for any.
    package internal(set) var files: ServerFiles?
    /// The last entry that its log once had and did not drop.
    var knownEnd = LogIndex.zero
    private let snapshotConfiguration: (index: LogIndex, configuration: ClusterConfiguration)?
    /// The log as it was before entries that are missing.
    private var beforeGap: (end: LogIndex, termRuns: [(first: LogIndex, term: Term)])?
    /// The term of the entry where the snapshot ends, as the last record of it says.
    private var termAtSnapshot: Term?
    /// Whether it had a log that its snapshot does not follow from.
    private(set) var wasSuperseded = false

    init(creation: ServerCreation, base: RecoveredBase = RecoveredBase(), keepsEntries: Bool = true) {
        self.creation = creation
        snapshot = base.snapshot
        snapshotConfiguration = base.snapshotConfiguration
        entries = RecoveredEntries(after: base.lastIndex, keepsBytes: keepsEntries)
        termRuns = base.termRuns
        configurations = [(.zero, creation.initial)] + base.configurations
        baseTime = base.lastTime
    }

    /// The term of the entry at an index, if the log tells.
    func term(at index: LogIndex) -> Term? {
        guard index <= entries.lastIndex else { return nil }
        return termRuns.last { $0.first <= index }?.term
    }
}

// How the records of the write-ahead log change it, in the order in which they were written. What is in segments was in
// records before, of which some may still be there: they change nothing.
extension RecoveredServer {
    /// Drops entries from an index on.
    mutating func truncate(from: LogIndex) {
        guard from <= entries.lastIndex else { return }
        if let gap = beforeGap, from < entries.firstIndex { fillGap(gap, from: from) }
        entries.truncate(from: from)
        while let last = termRuns.last, last.first >= from { termRuns.removeLast() }
        while let last = configurations.last, last.index >= from, last.index > .zero { configurations.removeLast() }
    }

    /// Adds entries, in place of those from their first index on; `false` when their terms fall.
    ///
    /// They may leave a gap: what a file that was released held of a server may have been written once more, into a file
    /// that had entries of it already.
    mutating func append(
        _ record: EntriesRecord, runs: [(first: LogIndex, term: Term)],
        configurations new: [(index: LogIndex, configuration: ClusterConfiguration)]
    ) -> Bool {
        if let gap = beforeGap, record.first < entries.firstIndex { fillGap(gap, from: record.first) }
        let known = sharedWithTable(record, runs, behind: sharedWithSegments(record, runs))
        if record.first <= snapshot.index, snapshot.index <= record.last {
            termAtSnapshot = runs.last { $0.first <= snapshot.index }?.term
        }
        guard record.last > known else { return true }
        let first = max(record.first, known.next)
        if first > entries.lastIndex.next {
            // What is missing may come later, or never where the snapshot covers it and needs it no more.
            if beforeGap == nil { beforeGap = (entries.lastIndex, termRuns) }
            begin(after: first.previous)
        }
        truncate(from: first)
        if entries.firstIndex == first, let term = runs.last(where: { $0.first <= first })?.term {
            dropLaterTerms(than: term, before: first)
        }
        var term = termRuns.last?.term ?? .zero
        for run in runs where end(of: run, in: runs, record) >= first {
            guard run.term >= term else { return false }
            if run.term != termRuns.last?.term { termRuns.append((max(run.first, first), run.term)) }
            term = run.term
        }
        entries.append(record, from: first)
        configurations.append(contentsOf: new.filter { $0.index >= first })
        return true
    }

    /// Takes note of a snapshot; a log that does not have its last entry begins again behind it.
    mutating func raiseFloor(to index: LogIndex, term: Term) {
        snapshotFloor = (index, term)
        if index == snapshot.index { termAtSnapshot = term }
        guard self.term(at: index) != term else { return }
        // Entries behind it follow it: they would have been cut before, if they did not.
        guard index > entries.lastIndex || self.term(at: index) != nil else { return }
        // What a file that was released held may have been written once more, behind this.
        if beforeGap == nil { beforeGap = (entries.lastIndex, termRuns) }
        begin(after: index)
    }

    /// Ends the reading: a log that does not have the snapshot's last entry was superseded by it.
    mutating func finish() {
        if let floor = snapshotFloor, floor.index > snapshot.index {
            snapshot = SnapshotName(index: floor.index, term: floor.term)
        }
        guard snapshot.index > .zero else { return }
        let isOther = differsFromSnapshot
        if isOther || entries.lastIndex < snapshot.index { begin(after: snapshot.index) }
        wasSuperseded = isOther
        let first = snapshotConfiguration ?? configurations.last { $0.index <= snapshot.index } ?? configurations[0]
        configurations = [first] + configurations.filter { $0.index > max(snapshot.index, first.index) }
    }

    /// Whether the log is another than the one that the snapshot is of. Where segments that came with the snapshot hide what
    /// the log had at its end, what follows tells: terms never fall.
    private var differsFromSnapshot: Bool {
        if let term = termAtSnapshot ?? term(at: snapshot.index) { return term != snapshot.term }
        return term(at: snapshot.index.next).map { $0 < snapshot.term } ?? false
    }

    /// Takes the files that were found of it, which show what the log says.
    mutating func take(_ found: ServerFiles?) {
        var settled = found
        settled?.settle(with: self)
        files = settled
    }

    /// The entries that are missing before others, if any are.
    var missing: ClosedRange<LogIndex>? {
        guard let gap = beforeGap, entries.firstIndex > snapshot.index.next else { return nil }
        return max(gap.end, snapshot.index).next...entries.firstIndex.previous
    }

    /// What was missing comes, or a part of it, with all that follows it.
    private mutating func fillGap(
        _ before: (end: LogIndex, termRuns: [(first: LogIndex, term: Term)]), from first: LogIndex
    ) {
        guard first <= before.end.next else { return begin(after: first.previous) }
        entries.reset(after: before.end)
        termRuns = before.termRuns
        configurations.removeAll { $0.index > before.end }
        beforeGap = nil
    }

    /// Leaves out what segments hold of later terms than a record that would follow it. Either the record is older, and
    /// what took its place, a truncation first, stands behind it in the log; or the segments are, and what stands between
    /// is written once more behind it.
    private mutating func dropLaterTerms(than term: Term, before first: LogIndex) {
        var end = entries.lastIndex
        while let last = termRuns.last, last.term > term {
            end = last.first.previous
            termRuns.removeLast()
        }
        guard end < entries.lastIndex else { return }
        if beforeGap == nil { beforeGap = (end, termRuns) }
        begin(after: first.previous)
    }

    /// Drops all entries; the next will stand behind an index.
    private mutating func begin(after index: LogIndex) {
        entries.reset(after: index)
        termRuns = []
        configurations.removeAll { $0.index > index }
    }

    /// The last of the record's entries, from its first on, that is in segments: the same index and term is the same
    /// entry. The index before the record when not even the first is.
    private func sharedWithSegments(_ record: EntriesRecord, _ runs: [(first: LogIndex, term: Term)]) -> LogIndex {
        var index = record.first
        while index < entries.firstIndex, index <= record.last {
            guard let own = termRuns.lastIndex(where: { $0.first <= index }),
                let other = runs.lastIndex(where: { $0.first <= index })
            else {
                // Segments before the first that is left are gone because nobody needs what they held.
                guard index <= snapshot.index else { break }
                index = min(termRuns.first?.first ?? entries.firstIndex, entries.firstIndex, record.last.next)
                continue
            }
            guard termRuns[own].term == runs[other].term else { break }
            let ownEnd = own + 1 < termRuns.count ? termRuns[own + 1].first.previous : entries.firstIndex.previous
            index = min(ownEnd, entries.firstIndex.previous, end(of: runs[other], in: runs, record)).next
        }
        return index.previous
    }

    /// The last of the record's entries behind an index that was read before: they are written once more, as they were.
    /// What stands behind them stays, for only a part of what is written once more may have got there before a crash.
    private func sharedWithTable(
        _ record: EntriesRecord, _ runs: [(first: LogIndex, term: Term)], behind known: LogIndex
    ) -> LogIndex {
        var index = known.next
        guard index >= entries.firstIndex else { return known }
        while index <= min(entries.lastIndex, record.last) {
            guard let own = termRuns.lastIndex(where: { $0.first <= index }),
                let other = runs.lastIndex(where: { $0.first <= index }), termRuns[own].term == runs[other].term
            else { break }
            let ownEnd = own + 1 < termRuns.count ? termRuns[own + 1].first.previous : entries.lastIndex
            index = min(ownEnd, entries.lastIndex, end(of: runs[other], in: runs, record)).next
        }
        return index.previous
    }

    private func end(
        of run: (first: LogIndex, term: Term), in runs: [(first: LogIndex, term: Term)], _ record: EntriesRecord
    ) -> LogIndex {
        runs.first { $0.first > run.first }?.first.previous ?? record.last
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

/// A server that is not whole any more: it never votes, acknowledges or counts again.
public struct LostServer: Sendable {
    /// Its identity.
    public var uid: ServerUID
    /// What it was created with, unless just that can't be read.
    public var creation: ServerCreation?
    /// The first damaged place; `nil` where the log says that the server was lost before.
    public var damage: Damage?

    /// A server that is lost.
    public init(uid: ServerUID, creation: ServerCreation?, damage: Damage?) {
        self.uid = uid
        self.creation = creation
        self.damage = damage
    }
}

/// Everything that a node's write-ahead log holds.
public struct RecoveredNode {
    /// The servers that are whole, in the order of their creation.
    public var servers: [RecoveredServer]
    /// Those that are not, in the order of their identities. The log is to be told of those with a damage.
    public var lost: [LostServer]
    /// The other nodes that were met, in the order of their identities.
    public var peers: [KnownPeer]
    /// The servers that were deleted, in the order of their identities.
    public var tombstones: [Tombstone]
    /// Deleted servers whose files are still there.
    public var deletedDirectories: [ServerUID] = []
    /// What the files of the write-ahead log hold that get no more batches, oldest first.
    public var closedFiles: [WALFileContents]
    /// What the write-ahead log needs to go on.
    public var start: WALStart
    /// What was read.
    public var report: RecoveryReport
}
