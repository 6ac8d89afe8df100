import FlotillaWire
import NIOCore

/// A run of consecutive encoded entries of one server.
public struct EntriesRecord: Sendable {
    /// Whose log they belong to.
    public var uid: ServerUID
    /// How often that log had been truncated when they were appended.
    public var epoch: LogEpoch
    /// The index of the first.
    public var first: LogIndex
    /// How many there are, at least one.
    public var count: Int
    /// The term of the last.
    public var lastTerm: Term
    /// The encoded entries back to back. They are written as they are: whoever appends vouches for their checksums.
    public var bytes: ByteBuffer

    /// A run of these parts.
    public init(uid: ServerUID, epoch: LogEpoch, first: LogIndex, count: Int, lastTerm: Term, bytes: ByteBuffer) {
        self.uid = uid
        self.epoch = epoch
        self.first = first
        self.count = count
        self.lastTerm = lastTerm
        self.bytes = bytes
    }

    /// The index of the last.
    public var last: LogIndex { first + (count - 1) }
}

/// Everything that a server is created with.
public struct ServerCreation: Equatable, Sendable {
    /// The identity of its storage.
    public var uid: ServerUID
    /// The identity of its cluster.
    public var clusterID: ClusterID
    /// The name of its cluster.
    public var clusterName: ClusterName
    /// Its own name.
    public var id: ServerID
    /// The name of its state machine's type.
    public var machine: String
    /// The machine's configuration, encoded by the machine.
    public var machineConfiguration: ByteBuffer
    /// The members at index 0.
    public var initial: ClusterConfiguration
    /// When it was created, in nanoseconds since 1970 by the creating node's clock; for people.
    public var createdAt: UInt64

    /// A creation of these parts.
    public init(
        uid: ServerUID, clusterID: ClusterID, clusterName: ClusterName, id: ServerID, machine: String,
        machineConfiguration: ByteBuffer, initial: ClusterConfiguration, createdAt: UInt64
    ) {
        self.uid = uid
        self.clusterID = clusterID
        self.clusterName = clusterName
        self.id = id
        self.machine = machine
        self.machineConfiguration = machineConfiguration
        self.initial = initial
        self.createdAt = createdAt
    }
}

/// What is left of a server that was deleted: with its cluster, so that a member that comes back late can be told, or
/// because the cluster was never formed, or because a new member of the cluster took its place on the node.
public struct Tombstone: Equatable, Sendable {
    /// The server's identity.
    public var uid: ServerUID
    /// The deleted cluster's identity.
    public var clusterID: ClusterID
    /// The index of the entry that ended the whole cluster; zero where the cluster goes on, or never was.
    public var index: LogIndex
    /// The term of that entry, or zero.
    public var term: Term

    /// A tombstone of these parts.
    public init(uid: ServerUID, clusterID: ClusterID, index: LogIndex, term: Term) {
        self.uid = uid
        self.clusterID = clusterID
        self.index = index
        self.term = term
    }
}

/// What is remembered of another node.
public struct KnownPeer: Equatable, Sendable {
    /// Its identity.
    public var nodeID: NodeID
    /// Its name.
    public var name: NodeName
    /// Where it last said that it listens.
    public var address: NodeAddress
    /// The highest incarnation that was seen of it.
    public var incarnation: Incarnation

    /// A peer of these parts.
    public init(nodeID: NodeID, name: NodeName, address: NodeAddress, incarnation: Incarnation) {
        self.nodeID = nodeID
        self.name = name
        self.address = address
        self.incarnation = incarnation
    }
}

/// What the write-ahead log is asked to remember. Records are made durable in the order in which they are appended.
///
/// `serverCreated` must come before every other record of its server. Records of a server that follow its
/// `serverLost` or `serverDeleted` are dropped.
public enum WALRecord: Sendable {
    /// Entries of a log. If the first index is not above the log's last one, they replace everything from there on.
    case entries(EntriesRecord)
    /// A server's term and vote.
    case hardState(ServerUID, HardState)
    /// A server dropped all entries from an index on.
    case truncated(ServerUID, from: LogIndex)
    /// A server exists from here on.
    case serverCreated(ServerCreation)
    /// A server is gone, and so is everything of it but its tombstone.
    case serverDeleted(ServerUID, ClusterID, index: LogIndex, term: Term)
    /// How far a server has applied its log. Must not be ahead of what is durable.
    case lastApplied(ServerUID, LogIndex)
    /// Everything up to this index, whose term is given, is in a durable snapshot.
    case snapshotFloor(ServerUID, LogIndex, Term)
    /// The last entry of a server's log when the file began, and its term: whatever of the log is in no later file must be in segments or
    /// below a snapshot. The log writes it by itself, in its checkpoints.
    case logEnd(ServerUID, LogIndex, Term)
    /// Another node was met.
    case peer(KnownPeer)
    /// Something of a server was damaged: it never votes, acknowledges or counts again under this identity. Only its
    /// deletion may follow. It need not be known what it was created with.
    case serverLost(ServerUID)
    /// No file before the one with this sequence number is needed any more: the entries of those are all in segments,
    /// below snapshots, or gone. They are removed once this record is durable.
    case filesReleased(oldest: UInt64)

    /// The server that the record belongs to, if it belongs to one.
    public var uid: ServerUID? {
        switch self {
        case .entries(let record): record.uid
        case .hardState(let uid, _), .truncated(let uid, _), .serverDeleted(let uid, _, _, _),
            .lastApplied(let uid, _), .snapshotFloor(let uid, _, _), .logEnd(let uid, _, _),
            .serverLost(let uid):
            uid
        case .serverCreated(let creation): creation.uid
        case .peer, .filesReleased: nil
        }
    }
}
