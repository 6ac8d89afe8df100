import FlotillaWire

/// The latest of everything that lives only in the write-ahead log. The first batches of each file repeat it, so that
/// the files before can go once their entries are elsewhere.
struct WALLatest: Sendable {
    private struct Server: Sendable {
        let creation: ServerCreation
        /// Servers are repeated in the order of their creation.
        let order: UInt64
        var hardState: HardState?
        var truncatedFrom: LogIndex?
        var floor: (index: LogIndex, term: Term)?
        var lastApplied: LogIndex?
        /// The last entry of its log.
        var end = (index: LogIndex.zero, term: Term.zero)
    }

    private var servers: [ServerUID: Server] = [:]
    private var lost: Set<ServerUID> = []
    private var tombstones: [ServerUID: Tombstone] = [:]
    private var peers: [NodeID: KnownPeer] = [:]
    private var nextOrder: UInt64 = 0
    /// How many servers have a truncation that no later entries have covered; spares the look-up for most runs.
    private var truncations = 0

    /// Whether records of a server may be written: it was created, and neither lost nor deleted.
    func isLive(_ uid: ServerUID) -> Bool { servers[uid] != nil && !lost.contains(uid) }

    /// Whether a server is lost.
    func isLost(_ uid: ServerUID) -> Bool { lost.contains(uid) }

    /// The lost servers, in the order of their identities.
    var sortedLost: [ServerUID] { lost.sorted() }

    /// What a server that was not deleted was created with, if that is known.
    func creation(of uid: ServerUID) -> ServerCreation? { servers[uid]?.creation }

    /// Whether a server was deleted.
    func isDeleted(_ uid: ServerUID) -> Bool { tombstones[uid] != nil }

    /// All tombstones, in the order of their identities.
    var sortedTombstones: [Tombstone] { tombstones.values.sorted { $0.uid < $1.uid } }

    /// All peers, in the order of their identities.
    var sortedPeers: [KnownPeer] { peers.values.sorted { $0.nodeID < $1.nodeID } }

    /// The live servers in the order of their creation.
    var liveServers: [ServerUID] { sortedServers.map(\.creation.uid).filter { !lost.contains($0) } }

    /// Takes note of a record. Records of servers that don't live are the caller's to keep away.
    mutating func apply(_ record: WALRecord) {
        switch record {
        case .entries(let record): extend(record)
        case .hardState(let uid, let state): servers[uid]?.hardState = state
        case .truncated(let uid, let from): truncate(uid, from: from)
        case .serverCreated(let creation): create(creation)
        case .serverDeleted(let uid, let clusterID, let index, let term):
            if servers.removeValue(forKey: uid)?.truncatedFrom != nil { truncations -= 1 }
            lost.remove(uid)
            tombstones[uid] = Tombstone(uid: uid, clusterID: clusterID, index: index, term: term)
        case .lastApplied(let uid, let index): servers[uid]?.lastApplied = index
        case .logEnd(let uid, let index, let term): servers[uid]?.end = (index, term)
        case .snapshotFloor(let uid, let index, let term):
            servers[uid]?.floor = (index, term)
            // Where the log was cut and nothing followed, it goes on behind the snapshot.
            if let from = servers[uid]?.truncatedFrom, from <= index { servers[uid]?.truncatedFrom = index.next }
        case .peer(let peer):
            if let known = peers[peer.nodeID], known.incarnation > peer.incarnation { return }
            peers[peer.nodeID] = peer
        case .serverLost(let uid): if !isDeleted(uid) { lost.insert(uid) }
        case .filesReleased: break
        }
    }

    /// The records of a checkpoint, in an order that depends on nothing but what is remembered.
    func records() -> [WALRecord] {
        var records: [WALRecord] = []
        for server in sortedServers {
            let uid = server.creation.uid
            records.append(.serverCreated(server.creation))
            guard !lost.contains(uid) else { continue }
            if let state = server.hardState { records.append(.hardState(uid, state)) }
            if let floor = server.floor { records.append(.snapshotFloor(uid, floor.index, floor.term)) }
            if let from = server.truncatedFrom { records.append(.truncated(uid, from: from)) }
            if let index = server.lastApplied { records.append(.lastApplied(uid, index)) }
            if server.end.index > .zero { records.append(.logEnd(uid, server.end.index, server.end.term)) }
        }
        for uid in sortedLost { records.append(.serverLost(uid)) }
        for tombstone in sortedTombstones {
            records.append(
                .serverDeleted(
                    tombstone.uid, tombstone.clusterID, index: tombstone.index, term: tombstone.term))
        }
        for peer in sortedPeers { records.append(.peer(peer)) }
        return records
    }

    private var sortedServers: [Server] { servers.values.sorted { $0.order < $1.order } }

    private mutating func create(_ creation: ServerCreation) {
        // A checkpoint repeats what is known already.
        guard servers[creation.uid] == nil else { return }
        servers[creation.uid] = Server(creation: creation, order: nextOrder)
        nextOrder += 1
    }

    private mutating func truncate(_ uid: ServerUID, from: LogIndex) {
        guard let server = servers[uid] else { return }
        servers[uid]?.end.index = min(server.end.index, from.previous)
        if let earlier = server.truncatedFrom {
            servers[uid]?.truncatedFrom = min(earlier, from)
        } else {
            servers[uid]?.truncatedFrom = from
            truncations += 1
        }
    }

    /// Entries that begin where the log was cut, or before, say by themselves that the rest is gone.
    private mutating func extend(_ record: EntriesRecord) {
        guard let place = servers.index(forKey: record.uid) else { return }
        let end = servers.values[place].end
        // Those of a later term take the place of the rest; what is written once more leaves it.
        if record.last > end.index || record.lastTerm > end.term {
            servers.values[place].end = (record.last, record.lastTerm)
        }
        guard truncations > 0, let from = servers.values[place].truncatedFrom, record.first <= from else { return }
        servers.values[place].truncatedFrom = nil
        truncations -= 1
    }

    /// The last entry of a server's log, as far as is known: it has no fewer.
    func end(of uid: ServerUID) -> LogIndex {
        max(servers[uid]?.end.index ?? .zero, servers[uid]?.lastApplied ?? .zero)
    }
}
