import FlotillaWire

/// What a server wants done, in this order.
public enum Action: Equatable, Sendable {
    /// Send a message. To an `appendEntries` that counts entries, the caller attaches those after its previous index.
    case send(ConsensusMessage, to: ServerUID)
    /// Write term and vote to the log on disk, in order with everything else of this server, and step
    /// `hardStateDurable` when it is durable.
    case persistHardState(HardState)
    /// Drop the entries from an index on. What is appended afterwards belongs to `epoch`.
    case truncate(from: LogIndex, epoch: LogEpoch)
    /// Append the entries of the event, except the first `skip`, which the log has; label the write with `logEpoch`.
    case accept(skip: Int)
    /// Append a noop of the server's term at this index.
    case appendNoop(index: LogIndex)
    /// Append a configuration of the server's term at this index.
    case appendConfiguration(index: LogIndex, ClusterConfiguration)
    /// Offer this member a snapshot, and send it when asked; then step `snapshotEnded` if nothing came of it.
    case sendSnapshot(to: ServerUID)
    /// Fetch entries from an index on from disk; then step `entriesFetched`. Asked again until they are there.
    case fetchEntries(from: LogIndex)
    /// The leader offers a snapshot that covers more than what is committed here. Ask the leader for it; when it is
    /// whole and durable, step `snapshotInstalled`.
    case wantSnapshot(index: LogIndex, term: Term, from: ServerUID)
    /// The whole log is superseded by a snapshot. What is appended afterwards stands behind this index and belongs to
    /// `epoch`.
    case resetLog(after: LogIndex, epoch: LogEpoch)
    /// The query may be answered once this index is applied here.
    case readReady(token: UInt64, index: LogIndex)
    /// The query must be asked elsewhere, or again: no leader confirmed it.
    case readLost(token: UInt64)
    /// The leader sent an entry that contradicts a committed one; nothing was taken from it. This never happens as long
    /// as every member keeps what it was told to keep.
    case contradicted(index: LogIndex)
    /// The server's role is another one now.
    case roleChanged(Role)
    /// The leader, the term or both are other ones now; `nil` when no leader is known.
    case leaderChanged(ServerUID?, term: Term)
    /// A transfer of leadership has come to its end.
    case transferEnded(TransferOutcome)
}

/// A list of actions that is filled over one or more steps and carried out in order.
public struct Actions: Sendable {
    /// What is to be done, first things first.
    public private(set) var list: [Action] = []

    /// An empty list.
    public init() {}

    /// Adds an action at the end.
    public mutating func append(_ action: Action) { list.append(action) }

    /// Empties the list after its actions are done.
    public mutating func removeAll(keepingCapacity: Bool = false) { list.removeAll(keepingCapacity: keepingCapacity) }
}
