extension KeyTree {
    /// A leaf, whose row holds the pairs, or an inner node, whose row holds one separator less than it has children:
    /// every key of child `i` is below separator `i`, every key of child `i + 1` is not.
    ///
    /// Unchecked, because a node is written only while exactly one tree refers to it, which `isKnownUniquelyReferenced`
    /// says before each write; a node that several trees share is never changed again, so any thread may read it.
    final class Node: @unchecked Sendable {
        private(set) var row: KeyRow
        private(set) var children: [Node]

        /// A node of these parts; a leaf when it has no children.
        init(row: KeyRow = KeyRow(), children: [Node] = []) {
            self.row = row
            self.children = children
        }

        var isLeaf: Bool { children.isEmpty }
        /// How full the node is, as `capacity` and `minimum` count.
        var size: Int { isLeaf ? row.count : children.count }

        /// Makes `node` one that only the caller refers to.
        private static func makeUnique(_ node: inout Node) {
            if !isKnownUniquelyReferenced(&node) { node = Node(row: node.row, children: node.children) }
        }

        /// Which child holds the keys around `key`.
        func childPosition(for key: UnsafeRawBufferPointer) -> Int {
            let (position, found) = row.position(of: key)
            return found ? position + 1 : position
        }

        /// Calls `body` for the pairs whose key is not below `start`, in order, until it returns `false`.
        ///
        /// - Returns: whether `body` wants more.
        func visit(from start: UnsafeRawBufferPointer, _ body: (KeyPair) -> Bool) -> Bool {
            guard isLeaf else {
                return children[childPosition(for: start)...].allSatisfy { $0.visit(from: start, body) }
            }
            return row.suffix(from: row.position(of: start).position).allSatisfy(body)
        }

        // MARK: Putting

        /// The upper part of a node that had become too large.
        struct Split {
            var separator: KeyPair
            var right: Node
        }

        /// Stores a pair below a node.
        ///
        /// - Returns: what stood under the key, and what must stand to the right of the node if it was split.
        static func put(
            _ pair: KeyPair, key: UnsafeRawBufferPointer, in node: inout Node
        ) -> (replaced: KeyPair?, split: Split?) {
            makeUnique(&node)
            guard node.isLeaf else {
                let position = node.childPosition(for: key)
                let outcome = put(pair, key: key, in: &node.children[position])
                guard let split = outcome.split else { return outcome }
                node.adopt(split, at: position)
                return (nil, node.size > KeyTree.capacity ? node.splitOff(at: node.size / 2) : nil)
            }
            if let position = node.row.exactPosition(of: key) {
                return (node.row.replace(at: position, with: pair), nil)
            }
            let position = node.row.position(of: key).position
            node.row.insert(pair, at: position)
            guard node.size > KeyTree.capacity else { return (nil, nil) }
            // Keys that come in ascending order leave full leaves behind them instead of half-empty ones.
            return (nil, node.splitOff(at: position == node.size - 1 ? position : node.size / 2))
        }

        /// Takes in what was cut off the child at `position`.
        private func adopt(_ split: Split, at position: Int) {
            row.insert(split.separator, at: position)
            children.insert(split.right, at: position + 1)
        }

        /// Cuts what stands from `position` on off into a node of its own.
        private func splitOff(at position: Int) -> Split {
            let split: Split
            if isLeaf {
                split = Split(
                    separator: row[position].separator, right: Node(row: KeyRow(row.suffix(from: position))))
                row.removeSubrange(from: position)
            } else {
                split = Split(
                    separator: row[position - 1],
                    right: Node(row: KeyRow(row.suffix(from: position)), children: Array(children[position...])))
                row.removeSubrange(from: position - 1)
                children.removeSubrange(position...)
            }
            return split
        }

        // MARK: Removing

        /// Removes a key that is known to be below a node.
        static func remove(_ key: UnsafeRawBufferPointer, in node: inout Node) {
            makeUnique(&node)
            guard node.isLeaf else {
                let position = node.childPosition(for: key)
                remove(key, in: &node.children[position])
                if node.children[position].size < KeyTree.minimum { node.refill(at: position) }
                return
            }
            guard let position = node.row.exactPosition(of: key) else {
                preconditionFailure("a key that was found is not in its leaf")
            }
            node.row.remove(at: position)
        }

        /// Joins the child at `position` with a neighbour, and cuts the two again where they are too large for one.
        private func refill(at position: Int) {
            guard children.count > 1 else { return }
            let left = max(position - 1, 0)
            Self.makeUnique(&children[left])
            children[left].append(children[left + 1], separator: row[left])
            row.remove(at: left)
            children.remove(at: left + 1)
            guard children[left].size > KeyTree.capacity else { return }
            adopt(children[left].splitOff(at: children[left].size / 2), at: left)
        }

        /// Takes over everything that a right neighbour holds.
        private func append(_ right: Node, separator: KeyPair) {
            if !isLeaf { row.append(contentsOf: KeyRow([separator])) }
            row.append(contentsOf: right.row)
            children.append(contentsOf: right.children)
        }
    }
}

extension KeyTree.Node {
    /// Traps when the tree below this node breaks a rule; for tests.
    ///
    /// - Returns: how many keys there are and how many levels.
    func checkInvariants(isRoot: Bool = true) -> (count: Int, depth: Int) {
        precondition(isRoot || (1...KeyTree.capacity).contains(size), "a node of \(size)")
        let keys = row.suffix(from: 0).map(\.key)
        precondition(zip(keys, keys.dropFirst()).allSatisfy { $0 < $1 }, "keys out of order")
        guard !isLeaf else { return (row.count, 1) }
        precondition(children.count == row.count + 1, "\(row.count) separators of \(children.count) children")
        let below = children.map { $0.checkInvariants(isRoot: false) }
        precondition(below.allSatisfy { $0.depth == below[0].depth }, "leaves at different depths")
        for (position, separator) in keys.enumerated() {
            precondition(
                children[position].row.suffix(from: 0).allSatisfy { $0.key < separator }, "a key right of its place")
            precondition(
                children[position + 1].row.suffix(from: 0).allSatisfy { $0.key >= separator }, "a key left of its place"
            )
        }
        return (below.reduce(0) { $0 + $1.count }, below[0].depth + 1)
    }
}
