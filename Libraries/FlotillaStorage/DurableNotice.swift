import FlotillaWire

/// Tells that something appended to the write-ahead log is durable.
public enum DurableNotice: Sendable, Equatable {
    /// Entries of a log are durable up to and including an index whose term is given. The epoch is the one they were
    /// appended with: a server that has truncated since must not count what it has dropped.
    case entries(ServerUID, epoch: LogEpoch, through: LogIndex, term: Term)
    /// A term and vote are durable.
    case hardState(ServerUID, HardState)
    /// A server's creation is durable.
    case serverCreated(ServerUID)
    /// A server's deletion is durable.
    case serverDeleted(ServerUID)
    /// What is known of a node is durable.
    case peer(NodeID)
    /// It is durable that a snapshot stands for everything up to an index.
    case snapshotFloor(ServerUID, LogIndex)
    /// A file gets no more batches; all that it holds is durable.
    case fileClosed(WALFileContents)
}

/// Gathers the notices of one batch: of several that cover one another only the last, in the place of the first.
///
/// All records of a batch become durable together, and the records of one server are in order. So the last entries of
/// a server cover the earlier ones, whatever their epochs: what a newer epoch appends begins at or before the place
/// where the log was cut.
struct NoticeCollector {
    private enum Topic: Hashable {
        case entries(ServerUID)
        case hardState(ServerUID)
        case created(ServerUID)
        case deleted(ServerUID)
        case peer(NodeID)
        case floor(ServerUID)
    }

    private(set) var notices: [DurableNotice] = []
    private var places: [Topic: Int] = [:]

    mutating func add(_ record: WALRecord) {
        switch record {
        case .entries(let record):
            addEntries(record)
        case .hardState(let uid, let state): put(.hardState(uid), .hardState(uid, state))
        case .serverCreated(let creation): put(.created(creation.uid), .serverCreated(creation.uid))
        case .serverDeleted(let uid, _, _, _): put(.deleted(uid), .serverDeleted(uid))
        case .peer(let peer): put(.peer(peer.nodeID), .peer(peer.nodeID))
        case .snapshotFloor(let uid, let index, _): put(.floor(uid), .snapshotFloor(uid, index))
        case .truncated, .lastApplied, .filesReleased, .serverLost, .logEnd: break
        }
    }

    mutating func take() -> [DurableNotice] {
        defer {
            notices = []
            places.removeAll(keepingCapacity: true)
        }
        return notices
    }

    private mutating func addEntries(_ record: EntriesRecord) {
        let notice = DurableNotice.entries(
            record.uid, epoch: record.epoch, through: record.last, term: record.lastTerm)
        // Runs of one server come in a row; most batches are spared the look-up.
        if let last = notices.last, case .entries(let uid, _, _, _) = last, uid == record.uid {
            notices[notices.count - 1] = notice
        } else {
            put(.entries(record.uid), notice)
        }
    }

    private mutating func put(_ topic: Topic, _ notice: DurableNotice) {
        if let place = places[topic] {
            notices[place] = notice
        } else {
            places[topic] = notices.count
            notices.append(notice)
        }
    }
}
