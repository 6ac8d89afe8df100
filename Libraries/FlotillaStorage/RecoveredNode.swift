import FlotillaWire

/// One server as its records describe it.
public struct RecoveredServer {
    /// What it was created with.
    public let creation: ServerCreation
    /// Its term and vote.
    public var hardState = HardState.initial
    /// Its entries.
    public let table: MemoryTable
    /// The terms of its entries: each run begins at an index and lasts to the next run, or to the end of the table.
    public var termRuns: [(first: LogIndex, term: Term)] = []
    /// The configurations of its log in order, the one it was created with at index 0 first.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    /// How far it had applied its log; 0 when it never said.
    public var lastApplied: LogIndex = .zero
    /// The last entry that a durable snapshot covers, if there is one.
    public var snapshotFloor: (index: LogIndex, term: Term)?

    init(creation: ServerCreation) {
        self.creation = creation
        table = MemoryTable()
        configurations = [(.zero, creation.initial)]
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
    /// What the write-ahead log needs to go on.
    public var start: WALStart
    /// What was read.
    public var report: RecoveryReport
}
