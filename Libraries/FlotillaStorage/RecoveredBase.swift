import FlotillaWire

/// What stands of one server outside the write-ahead log: its newest snapshot, and the part of its log behind that
/// which is in segments.
public struct RecoveredBase: Sendable {
    /// The last entry that the newest snapshot covers; index zero without one. The log begins behind it.
    public var snapshot = SnapshotName(index: .zero, term: .zero)
    /// The configuration that is in force at the snapshot's end.
    public var snapshotConfiguration: (index: LogIndex, configuration: ClusterConfiguration)?
    /// The last entry in segments, or the snapshot's end when they hold none behind it.
    public var lastIndex: LogIndex = .zero
    /// The terms of the entries in segments: each run begins at an index and lasts to the next.
    public var termRuns: [(first: LogIndex, term: Term)] = []
    /// The configurations among them.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)] = []
    /// The leader's time in the last of the entries, or at the snapshot's end.
    public var lastTime: UInt64 = 0
    /// Whether the segments hold another entry where the snapshot ends. They then belong to a log that the snapshot
    /// superseded, and so does what the write-ahead log holds behind that place, until it says otherwise.
    public var isSuperseded = false

    /// A base of nothing.
    public init() {}
}
