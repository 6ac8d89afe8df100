import FlotillaWire

/// Applies records in the order in which they were written, and so rebuilds what the node knew.
struct WALReplay {
    private(set) var latest = WALLatest()
    private var servers: [ServerUID: RecoveredServer] = [:]
    /// Servers of which something is damaged: what follows from that is not told again.
    private var damaged: Set<ServerUID> = []
    private var checkpoint: (records: UInt32, checksum: UInt32)?
    /// What is known of each server apart from the log.
    private let bases: [ServerUID: RecoveredBase]

    /// Whether the entries are kept, and not only how far they reach.
    private let keepsEntries: Bool

    init(bases: [ServerUID: RecoveredBase] = [:], keepsEntries: Bool = true) {
        self.bases = bases
        self.keepsEntries = keepsEntries
    }

    /// The oldest file that the last checkpoint asks for; 0 before the first.
    private(set) var oldestSequence: UInt64 = 0
    /// Whether the checkpoint of the file that is being read is whole.
    private(set) var hasCheckpoint = false

    /// The servers in the order of their creation.
    var sortedServers: [RecoveredServer] {
        latest.liveServers.compactMap { uid in
            var server = servers[uid]
            server?.finish()
            server?.knownEnd = latest.end(of: uid)
            return server
        }
    }

    /// Whose entries the file holds that is being read.
    private(set) var contents: [ServerUID: LogIndex] = [:]

    mutating func beginFile() {
        contents = [:]
        checkpoint = nil
        hasCheckpoint = false
    }

    /// Entries that are missing before the last record that was applied.
    private var gap: (server: ServerUID, entries: ClosedRange<LogIndex>)?

    /// Takes what is missing before the last record, if anything is.
    mutating func takeGap() -> (server: ServerUID, entries: ClosedRange<LogIndex>)? {
        defer { gap = nil }
        return gap
    }

    /// Takes note that something of a server is damaged.
    mutating func markDamaged(_ uid: ServerUID) { damaged.insert(uid) }

    /// Whether something of a server is damaged.
    func isDamaged(_ uid: ServerUID) -> Bool { damaged.contains(uid) }

    /// Applies a record; tells what is wrong with it when it does not fit what came before.
    mutating func apply(_ read: WALReadRecord) -> Misfit? {
        switch read.content {
        case .item(.checkpointBegin(let oldest)):
            oldestSequence = max(oldestSequence, oldest)
            checkpoint = (0, 0)
            return nil
        case .item(.checkpointEnd(let records, let checksum)):
            let counted = checkpoint
            checkpoint = nil
            guard let counted, counted == (records, checksum) else { return Misfit(kind: .recordPayload) }
            hasCheckpoint = true
            return nil
        case .item(.record(let record)):
            count(read.checksum)
            return apply(record)
        case .unreadable:
            count(read.checksum)
            return nil
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

    private mutating func apply(_ record: WALRecord) -> Misfit? {
        if let uid = record.uid, !isKnown(record, uid) {
            return latest.isLost(uid) ? nil : report(.unknownServer, uid)
        }
        latest.apply(record)
        switch record {
        case .entries, .peer, .logEnd: break
        case .filesReleased(let oldest): oldestSequence = max(oldestSequence, oldest)
        case .hardState(let uid, let state): servers[uid]?.hardState = state
        case .truncated(let uid, let from): servers[uid]?.truncate(from: from)
        case .serverCreated(let creation):
            guard let known = servers[creation.uid] else {
                servers[creation.uid] = RecoveredServer(
                    creation: creation, base: bases[creation.uid] ?? RecoveredBase(), keepsEntries: keepsEntries)
                break
            }
            if known.creation != creation { return report(.recordPayload, creation.uid) }
        case .serverDeleted(let uid, _, _, _), .serverLost(let uid): servers[uid] = nil
        case .lastApplied(let uid, let index): servers[uid]?.lastApplied = index
        case .snapshotFloor(let uid, let index, let term): servers[uid]?.raiseFloor(to: index, term: term)
        }
        return nil
    }

    private mutating func apply(
        _ record: EntriesRecord, runs: [(first: LogIndex, term: Term)],
        configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    ) -> Misfit? {
        guard latest.isLive(record.uid) else {
            return latest.isLost(record.uid) ? nil : report(.unknownServer, record.uid)
        }
        guard servers[record.uid]?.append(record, runs: runs, configurations: configurations) ?? false else {
            return report(.gap, record.uid, record.first...record.last)
        }
        if let missing = servers[record.uid]?.missing { gap = (record.uid, missing) }
        latest.apply(.entries(record))
        contents[record.uid] = max(record.last, contents[record.uid] ?? .zero)
        return nil
    }

    /// What of a server may be replayed: what follows its creation, and what checkpoints repeat of those that are gone.
    private func isKnown(_ record: WALRecord, _ uid: ServerUID) -> Bool {
        switch record {
        case .serverCreated: !latest.isDeleted(uid)
        case .serverDeleted, .serverLost: true
        default: latest.isLive(uid)
        }
    }

    private mutating func report(
        _ kind: Damage.Kind, _ uid: ServerUID, _ entries: ClosedRange<LogIndex>? = nil
    ) -> Misfit? {
        damaged.insert(uid).inserted ? Misfit(kind: kind, server: uid, entries: entries) : nil
    }
}

/// What is wrong with a record that does not fit what came before it.
struct Misfit {
    var kind: Damage.Kind
    var server: ServerUID?
    /// The entries that it concerns.
    var entries: ClosedRange<LogIndex>?
}
