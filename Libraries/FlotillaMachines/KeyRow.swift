/// Keys in order, as one node of the tree holds them, made to be searched with few cache misses: what belongs to the
/// keys stands elsewhere in the node.
///
/// Beside each key stand the eight bytes of it that follow what all keys of the row begin with. Most comparisons are
/// decided by them and never touch the key's own memory.
struct KeyRow: Sendable {
    fileprivate struct Slot {
        /// Eight bytes of the key from `shared` on, as a number; zeros where the key has ended.
        var head: UInt64
        var key: KeyBytes
    }

    private var slots: [Slot] = []
    /// How many bytes all keys have in common, or fewer.
    private var shared = 0

    /// No keys.
    init() {}

    /// These keys, which must be in order.
    init(_ keys: some Sequence<KeyBytes>) {
        slots = keys.map { Slot(head: 0, key: $0) }
        readHeads()
    }

    /// How many keys there are.
    var count: Int { slots.count }

    /// A key in order.
    subscript(position: Int) -> KeyBytes { slots[position].key }

    /// The keys from `position` on.
    func suffix(from position: Int) -> some Sequence<KeyBytes> { slots[position...].lazy.map(\.key) }

    /// The position of `key`, if it is there.
    func exactPosition(of key: UnsafeRawBufferPointer) -> Int? {
        // Whether `key` begins with what is shared need not be asked: a key that does not is found equal to none.
        let (position, found) = search(key)
        return found ? position : nil
    }

    /// The first position whose key is not below `key`, and whether it is equal.
    func position(of key: UnsafeRawBufferPointer) -> (position: Int, found: Bool) {
        guard let first = slots.first else { return (0, false) }
        let beginning = first.key.withBytes { first in
            ByteOrder.compare(
                UnsafeRawBufferPointer(rebasing: key.prefix(shared)),
                UnsafeRawBufferPointer(rebasing: first.prefix(shared)))
        }
        if beginning != 0 { return (beginning < 0 ? 0 : count, false) }
        return search(key)
    }

    /// As `position(of:)`, for a key that begins with what all keys share. For another the position means nothing.
    private func search(_ key: UnsafeRawBufferPointer) -> (position: Int, found: Bool) {
        let head = ByteOrder.head(of: key, from: shared)
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            let order = slots[middle].order(head, key)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    /// Puts a key at its place among the others.
    mutating func insert(_ key: KeyBytes, at position: Int) {
        let common = key.withBytes { key in
            slots.first?.key.withBytes { ByteOrder.commonPrefix($0, key, limit: shared) } ?? -1
        }
        let head = key.withBytes { ByteOrder.head(of: $0, from: shared) }
        slots.insert(Slot(head: head, key: key), at: position)
        if common != shared { readHeads() }
    }

    /// Takes a key out.
    mutating func remove(at position: Int) { slots.remove(at: position) }

    /// Takes the keys from `position` on out.
    mutating func removeSubrange(from position: Int) {
        slots.removeSubrange(position...)
        readHeads()
    }

    /// Adds keys that come after all that are here.
    mutating func append(contentsOf other: KeyRow) {
        slots.append(contentsOf: other.slots)
        readHeads()
    }

    /// Finds out what the keys share, for which the first and the last are enough since they are in order, and reads
    /// the bytes that follow it.
    private mutating func readHeads() {
        guard let first = slots.first?.key, let last = slots.last?.key else { return }
        shared = first.withBytes { first in last.withBytes { ByteOrder.commonPrefix(first, $0, limit: first.count) } }
        for position in slots.indices {
            slots[position].head = slots[position].key.withBytes { ByteOrder.head(of: $0, from: shared) }
        }
    }
}

extension KeyRow.Slot {
    /// Negative, zero or positive as the slot's key stands before, at or after `key`, which has this head.
    @inline(__always)
    fileprivate func order(_ head: UInt64, _ key: UnsafeRawBufferPointer) -> Int {
        if self.head != head { return self.head < head ? -1 : 1 }
        return self.key.withBytes { ByteOrder.compare($0, key) }
    }
}
