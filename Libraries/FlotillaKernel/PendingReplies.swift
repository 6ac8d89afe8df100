import FlotillaWire

/// Who waits for which entry: a ring indexed by position in the log, since a dictionary costs as much per command as
/// everything else together.
///
/// A leader that loses its place keeps its ring: an entry that survives is answered when it is applied here, and one
/// that is displaced waits until it is known for good (`DisplacedReplies`), so that as few outcomes as possible stay
/// unknown.
struct PendingReplies {
    /// One that waits.
    struct Waiter {
        var link: LinkID
        var correlation: UInt64
        var bytes: Int
    }

    private struct Slot {
        var link: UInt64 = 0
        var correlation: UInt64 = 0
        var bytes: UInt32 = 0
    }

    private var slots: [Slot] = []
    private var mask = 0
    /// The index that the oldest slot belongs to.
    private(set) var first: LogIndex = .zero
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    private func position(_ index: LogIndex) -> Int { Int(truncatingIfNeeded: index.rawValue) & mask }

    /// Notes who waits for an entry. Indexes must rise; nobody waits for those that are left out.
    mutating func append(_ index: LogIndex, link: LinkID, correlation: UInt64, bytes: Int) {
        if count == 0 { first = index }
        let distance = index - first
        precondition(distance >= count, "an entry at \(index) already has a waiter; the last is at \(first + count)")
        if distance >= slots.count { grow(to: distance + 1) }
        while count < distance {
            slots[position(first + count)] = Slot()
            count += 1
        }
        slots[position(index)] = Slot(
            link: link.rawValue, correlation: correlation, bytes: UInt32(truncatingIfNeeded: bytes))
        count += 1
    }

    private mutating func grow(to needed: Int) {
        var capacity = max(slots.count, 256)
        while capacity < needed { capacity *= 2 }
        var grown = [Slot](repeating: Slot(), count: capacity)
        for offset in 0..<count {
            let index = first + offset
            grown[Int(truncatingIfNeeded: index.rawValue) & (capacity - 1)] = slots[position(index)]
        }
        slots = grown
        mask = capacity - 1
    }

    /// Whether anybody waits for an entry from `low` on, up to and including `high`.
    func mayWait(from low: LogIndex, through high: LogIndex) -> Bool {
        count > 0 && low < first + count && high >= first
    }

    /// Takes whoever waits for the entry at `index`; everything before it is forgotten. Called with rising indexes.
    mutating func take(_ index: LogIndex) -> Waiter? {
        guard count > 0, index >= first, index < first + count else { return nil }
        let slot = slots[position(index)]
        count -= (index - first) + 1
        first = index.next
        guard slot.link != 0 else { return nil }
        return Waiter(link: LinkID(rawValue: slot.link), correlation: slot.correlation, bytes: Int(slot.bytes))
    }

    /// Takes whoever waits for the entry at `index` if it is the given connection; otherwise changes nothing.
    mutating func take(_ index: LogIndex, if link: LinkID) -> Waiter? {
        guard count > 0, index >= first, index < first + count, slots[position(index)].link == link.rawValue else {
            return nil
        }
        return take(index)
    }

    /// Takes everybody who waits for an entry at `index` or before it.
    mutating func takeAll(through index: LogIndex) -> [Waiter] {
        var waiters: [Waiter] = []
        while count > 0, first <= index {
            let next = first
            if let waiter = take(next) { waiters.append(waiter) }
        }
        return waiters
    }

    /// Takes everybody who waits for an entry at `index` or after it.
    mutating func takeAll(from index: LogIndex) -> [Waiter] { takePlaces(from: index).map(\.waiter) }

    /// Takes everybody who waits for an entry at `index` or after it, with the places of the entries.
    mutating func takePlaces(from index: LogIndex) -> [(index: LogIndex, waiter: Waiter)] {
        guard count > 0, index < first + count else { return [] }
        let start = max(index, first)
        var waiters: [(index: LogIndex, waiter: Waiter)] = []
        var next = start
        while next < first + count {
            let slot = slots[position(next)]
            if slot.link != 0 {
                let waiter = Waiter(
                    link: LinkID(rawValue: slot.link), correlation: slot.correlation, bytes: Int(slot.bytes))
                waiters.append((next, waiter))
            }
            next = next.next
        }
        count = start - first
        return waiters
    }
}
