import FlotillaWire

/// How long the entries of a log are: the one thing about their bytes that matters to replication.
public protocol LogExtents {
    /// How far from `first`, at most through `last`, entries fit in `bytes`; at least one entry always does.
    func extent(from first: LogIndex, through last: LogIndex, bytes: Int) -> (through: LogIndex, bytes: Int)
}
