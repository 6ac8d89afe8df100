import FlotillaWire

/// Applies records in the order in which they were written, and so rebuilds what the node knew.
struct WALReplay {
    private(set) var latest = WALLatest()
    private var servers: [ServerUID: RecoveredServer] = [:]
    /// Servers of which something is damaged: what follows from that is not told again.
    private var damaged: Set<ServerUID> = []
    private var checkpoint: (records: UInt32, checksum: UInt32)?

    /// The oldest file that the last checkpoint asks for; 0 before the first.
    private(set) var oldestSequence: UInt64 = 0
    /// Whether the checkpoint of the file that is being read is whole.
    private(set) var hasCheckpoint = false

    /// The servers in the order of their creation.
    var sortedServers: [RecoveredServer] { latest.liveServers.compactMap { servers[$0] } }

    mutating func beginFile() {
        checkpoint = nil
        hasCheckpoint = false
    }

    /// Takes note that something of a server is damaged.
    mutating func markDamaged(_ uid: ServerUID) { damaged.insert(uid) }

    /// Applies a record; tells what is wrong with it when it does not fit what came before.
    mutating func apply(_ read: WALReadRecord) -> (kind: Damage.Kind, server: ServerUID?)? {
        switch read.content {
        case .item(.checkpointBegin(let oldest)):
            oldestSequence = oldest
            checkpoint = (0, 0)
            return nil
        case .item(.checkpointEnd(let records, let checksum)):
            let counted = checkpoint
            checkpoint = nil
            guard let counted, counted == (records, checksum) else { return (.recordPayload, nil) }
            hasCheckpoint = true
            return nil
        case .item(.record(let record)):
            count(read.checksum)
            return apply(record)
        case .entries(let record, let runs, let configurations):
            return apply(record, runs: runs, configurations: configurations)
        }
    }

    private mutating func count(_ checksum: UInt32) {
        guard let counted = checkpoint else { return }
        let rolled = withUnsafeBytes(of: checksum.littleEndian) {
            Checksum.crc32c($0, continuing: counted.checksum)
        }
        checkpoint = (counted.records + 1, rolled)
    }

    private mutating func apply(_ record: WALRecord) -> (kind: Damage.Kind, server: ServerUID?)? {
        if let uid = record.uid, !isKnown(record, uid) {
            return damaged.insert(uid).inserted ? (.unknownServer, uid) : nil
        }
        latest.apply(record)
        switch record {
        case .entries, .peer: break
        case .hardState(let uid, let state): servers[uid]?.hardState = state
        case .truncated(let uid, let from):
            guard servers[uid]?.truncate(from: from) ?? true else { return report(.gap, uid) }
        case .serverCreated(let creation):
            guard let known = servers[creation.uid] else {
                servers[creation.uid] = RecoveredServer(creation: creation)
                break
            }
            if known.creation != creation { return report(.recordPayload, creation.uid) }
        case .serverDeleted(let uid, _, _, _): servers[uid] = nil
        case .lastApplied(let uid, let index): servers[uid]?.lastApplied = index
        case .snapshotFloor(let uid, let index, let term): servers[uid]?.raiseFloor(to: index, term: term)
        }
        return nil
    }

    private mutating func apply(
        _ record: EntriesRecord, runs: [(first: LogIndex, term: Term)],
        configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    ) -> (kind: Damage.Kind, server: ServerUID?)? {
        guard latest.isLive(record.uid) else {
            return damaged.insert(record.uid).inserted ? (.unknownServer, record.uid) : nil
        }
        guard servers[record.uid]?.append(record, runs: runs, configurations: configurations) ?? false else {
            return report(.gap, record.uid)
        }
        latest.apply(.entries(record))
        return nil
    }

    /// What of a server may be replayed: what follows its creation, and the tombstones that checkpoints repeat.
    private func isKnown(_ record: WALRecord, _ uid: ServerUID) -> Bool {
        switch record {
        case .serverCreated: !latest.isDeleted(uid)
        case .serverDeleted: true
        default: latest.isLive(uid)
        }
    }

    private mutating func report(_ kind: Damage.Kind, _ uid: ServerUID) -> (kind: Damage.Kind, server: ServerUID?)? {
        damaged.insert(uid).inserted ? (kind, uid) : nil
    }
}

extension RecoveredServer {
    /// Drops entries from an index on; `false` when that index is before what the log still holds.
    fileprivate mutating func truncate(from: LogIndex) -> Bool {
        guard from > table.lastIndex || from >= table.firstIndex else { return false }
        table.truncate(from: from)
        while let last = termRuns.last, last.first >= from { termRuns.removeLast() }
        while let last = configurations.last, last.index >= from, last.index > .zero { configurations.removeLast() }
        return true
    }

    /// Adds entries, in place of those from their first index on; `false` when they don't follow the log.
    fileprivate mutating func append(
        _ record: EntriesRecord, runs: [(first: LogIndex, term: Term)],
        configurations new: [(index: LogIndex, configuration: ClusterConfiguration)]
    ) -> Bool {
        guard record.first <= table.lastIndex.next, truncate(from: record.first) else { return false }
        var term = termRuns.last?.term ?? snapshotFloor?.term ?? .zero
        for run in runs {
            guard run.term >= term else { return false }
            if run.term != termRuns.last?.term { termRuns.append(run) }
            term = run.term
        }
        table.append(record.bytes, first: record.first, count: record.count)
        configurations.append(contentsOf: new)
        return true
    }

    /// Takes note of a snapshot; a log that ends before it begins again behind it.
    fileprivate mutating func raiseFloor(to index: LogIndex, term: Term) {
        snapshotFloor = (index, term)
        guard index > table.lastIndex else { return }
        table.reset(after: index)
        termRuns = []
    }
}
