import FlotillaWire

/// A dictionary in key order whose copies are free: a B+ tree (Bayer and McCreight 1972; Comer 1979) of nodes that
/// copies share until one of them writes.
///
/// Copying the struct retains one node. The first write after that copies the nodes on one path from the root to a
/// leaf and leaves all others shared, so a state can be frozen for a snapshot at any moment while commands go on.
struct KeyTree: Sendable {
    /// The most pairs of a leaf, and the most children of an inner node.
    static let capacity = 64
    /// Nodes other than the root that fall below this are merged with a neighbour or filled up from it.
    static let minimum = capacity / 4

    private(set) var root = Node()
    /// How many keys there are.
    private(set) var count = 0
    /// How many bytes all keys and the values in the log have.
    private(set) var byteCount = 0

    /// The pair of a key.
    func pair(for key: KeyValue.Key) -> KeyPair? {
        key.bytes.withUnsafeBytes { bytes in
            var node = root
            while !node.isLeaf { node = node.children[node.childPosition(for: bytes)] }
            return node.row.exactPosition(of: bytes).map { node.pair(at: $0) }
        }
    }

    /// The highest key.
    var lastKey: KeyBytes? {
        var node = root
        while !node.isLeaf { node = node.children[node.children.count - 1] }
        return node.row.count > 0 ? node.row[node.row.count - 1] : nil
    }

    /// Stores where the value of a key stands, whether the key is there or not. A new key is copied.
    mutating func put(_ place: ValuePlace, for key: UnsafeRawBufferPointer) {
        let outcome = Node.put(place, for: key, in: &root)
        byteCount += Int(place.length)
        if let replaced = outcome.replaced {
            byteCount -= Int(replaced.length)
        } else {
            byteCount += key.count
            count += 1
        }
        if let split = outcome.split {
            root = Node(row: KeyRow([split.separator]), children: [root, split.right])
        }
    }

    /// Removes a key.
    ///
    /// - Returns: whether it was there.
    mutating func remove(_ key: KeyValue.Key) -> Bool {
        // Looked up first, so that a key that is absent copies no shared nodes.
        guard let removed = pair(for: key) else { return false }
        key.bytes.withUnsafeBytes { Node.remove($0, in: &root) }
        if !root.isLeaf, root.children.count == 1 { root = root.children[0] }
        count -= 1
        byteCount -= removed.byteCount
        return true
    }

    /// Calls `body` for the pairs whose key is not below `start`, in order, until it returns `false`.
    func visit(from start: KeyValue.Key, _ body: (KeyPair) -> Bool) {
        start.bytes.withUnsafeBytes { _ = root.visit(from: $0, body) }
    }
}
