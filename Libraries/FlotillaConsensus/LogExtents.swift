import FlotillaWire

/// How long the entries of a log are: the one thing about their bytes that matters to replication.
public protocol LogExtents {
    /// How far from `first`, at most through `last`, entries fit in `bytes`; at least one entry always does.
    ///
    /// - Returns: `nil` when the first of them is not in memory and must be fetched from disk.
    func extent(from first: LogIndex, through last: LogIndex, bytes: Int) -> (through: LogIndex, bytes: Int)?
}
