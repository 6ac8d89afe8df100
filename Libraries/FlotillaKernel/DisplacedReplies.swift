import FlotillaWire

/// Callers whose entries another leader's have displaced, until it is known for good what stands in their places.
///
/// That an entry was displaced does not mean that it will never be applied: it may live on in another log, and a later
/// leader may bring it back, as long as nothing is committed at its index (Ongaro and Ousterhout 2014, figure 8).
struct DisplacedReplies {
    /// One that waits.
    struct Waiter {
        /// Where its entry stood.
        var index: LogIndex
        /// The term of that entry.
        var term: Term
        var waiter: PendingReplies.Waiter
    }

    /// Ascending by index.
    private var waiters: [Waiter] = []

    /// Adds some, ascending by index.
    mutating func add(_ displaced: [Waiter]) {
        // A log that is truncated often can displace an index twice; whoever comes later stands behind.
        waiters = (waiters + displaced).sorted { $0.index < $1.index }
    }

    /// Takes those whose index is committed.
    mutating func take(through commit: LogIndex) -> [Waiter] {
        guard let first = waiters.first, first.index <= commit else { return [] }
        let count = waiters.prefix { $0.index <= commit }.count
        defer { waiters.removeFirst(count) }
        return Array(waiters.prefix(count))
    }

    /// Takes all.
    mutating func takeAll() -> [Waiter] {
        defer { waiters.removeAll() }
        return waiters
    }
}
