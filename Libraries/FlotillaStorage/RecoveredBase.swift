import FlotillaWire

/// What stands of one server outside the write-ahead log: its newest snapshot, and its entries in segments.
public struct RecoveredBase: Sendable {
    /// The last entry that the newest snapshot covers; index zero without one.
    public var snapshot = SnapshotName(index: .zero, term: .zero)
    /// The configuration that is in force at the snapshot's end.
    public var snapshotConfiguration: (index: LogIndex, configuration: ClusterConfiguration)?
    /// The last entry in segments. Where they came with the snapshot, or end before it without holding anything that is
    /// needed, the snapshot's last.
    public var lastIndex: LogIndex = .zero
    /// The terms of the entries in segments up to there, without those that are sparse: each run begins at an index and
    /// lasts to the next.
    public var termRuns: [(first: LogIndex, term: Term)] = []
    /// The configurations among them.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)] = []
    /// The leader's time in the last of the entries, or at the snapshot's end.
    public var lastTime: UInt64 = 0

    /// A base of nothing.
    public init() {}
}
