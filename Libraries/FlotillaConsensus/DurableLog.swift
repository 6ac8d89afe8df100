import FlotillaWire

/// How far a server's log is durable, told from notices that may be older than a truncation.
///
/// A notice says "what was appended in this epoch is on disk through this index". If the log was truncated since and
/// grew again, the notice speaks of entries that are gone where the new ones stand, and must not confirm those. So
/// truncations are numbered, and a notice of an older epoch confirms only what no truncation since has touched.
public struct DurableLog: Hashable, Sendable {
    private struct Truncation: Hashable, Sendable {
        var epoch: LogEpoch
        var from: LogIndex
    }

    /// How many truncations are remembered; a notice that is older than all of them confirms nothing.
    private static let truncationsMax = 64

    /// The number of truncations so far: what is appended from now on carries this epoch.
    public private(set) var epoch: LogEpoch = .zero
    /// The last index of the log that is durable together with all before it.
    public private(set) var index: LogIndex
    /// Ascending in epoch and in index: a truncation makes earlier ones that lie behind it pointless.
    private var truncations: [Truncation] = []
    private var oldestKnownEpoch: LogEpoch = .zero

    /// A log that is durable through `index`.
    public init(index: LogIndex) { self.index = index }

    /// Notes that the entries from `from` on are gone.
    public mutating func truncate(from: LogIndex) {
        precondition(from > .zero, "a truncation from index 0")
        epoch = epoch.next
        index = min(index, from.previous)
        while let last = truncations.last, last.from >= from { truncations.removeLast() }
        truncations.append(Truncation(epoch: epoch, from: from))
        if truncations.count > Self.truncationsMax {
            oldestKnownEpoch = truncations.removeFirst().epoch
        }
    }

    /// Notes that everything through `through`, which is in the log, is in a durable snapshot.
    public mutating func cover(through: LogIndex) { index = max(index, through) }

    /// Notes that all entries are gone and a durable snapshot stands in their place.
    public mutating func reset(to snapshot: LogIndex) {
        truncate(from: LogIndex(1))
        index = snapshot
    }

    /// Takes a notice that entries appended in `noticeEpoch` are durable through `through`.
    ///
    /// - Returns: whether more of the log is durable than before.
    public mutating func confirm(epoch noticeEpoch: LogEpoch, through: LogIndex) -> Bool {
        precondition(noticeEpoch <= epoch, "a durable notice of epoch \(noticeEpoch) before that epoch, \(epoch)")
        guard noticeEpoch >= oldestKnownEpoch else { return false }
        var confirmed = through
        if let later = truncations.first(where: { $0.epoch > noticeEpoch }) {
            confirmed = min(confirmed, later.from.previous)
        }
        guard confirmed > index else { return false }
        index = confirmed
        return true
    }
}
