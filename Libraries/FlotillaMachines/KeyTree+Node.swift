extension KeyTree {
    /// A leaf, which has the place of a value beside each key of its row, or an inner node, whose row holds one
    /// separator less than it has children: every key of child `i` is below separator `i`, every key of child `i + 1` is
    /// not. A separator shares the memory of the key that it was, whether that key is still in the tree or not.
    ///
    /// Unchecked, because a node is written only while exactly one tree refers to it, which `isKnownUniquelyReferenced`
    /// says before each write; a node that several trees share is never changed again, so any thread may read it.
    final class Node: @unchecked Sendable {
        private(set) var row: KeyRow
        private(set) var places: [ValuePlace]
        private(set) var children: [Node]

        /// A leaf of these parts.
        init(row: KeyRow = KeyRow(), places: [ValuePlace] = []) {
            self.row = row
            self.places = places
            children = []
        }

        /// An inner node of these parts.
        init(row: KeyRow, children: [Node]) {
            self.row = row
            self.children = children
            places = []
        }

        private init(copyOf node: Node) {
            row = node.row
            places = node.places
            children = node.children
        }

        var isLeaf: Bool { children.isEmpty }
        /// How full the node is, as `capacity` and `minimum` count.
        var size: Int { isLeaf ? row.count : children.count }

        /// Makes `node` one that only the caller refers to.
        private static func makeUnique(_ node: inout Node) {
            if !isKnownUniquelyReferenced(&node) { node = Node(copyOf: node) }
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
            return (row.position(of: start).position..<row.count).allSatisfy { body(pair(at: $0)) }
        }

        /// A pair of a leaf.
        func pair(at position: Int) -> KeyPair { KeyPair(key: row[position], place: places[position]) }

        // MARK: Putting

        /// The upper part of a node that had become too large.
        struct Split {
            var separator: KeyBytes
            var right: Node
        }

        /// Stores below a node where the value of a key stands.
        ///
        /// - Returns: what stood under the key, and what must stand to the right of the node if it was split.
        static func put(
            _ place: ValuePlace, for key: UnsafeRawBufferPointer, in node: inout Node
        ) -> (replaced: ValuePlace?, split: Split?) {
            makeUnique(&node)
            guard node.isLeaf else {
                let position = node.childPosition(for: key)
                let outcome = put(place, for: key, in: &node.children[position])
                guard let split = outcome.split else { return outcome }
                node.adopt(split, at: position)
                return (nil, node.size > KeyTree.capacity ? node.splitOff(at: node.size / 2) : nil)
            }
            if let position = node.row.exactPosition(of: key) {
                let replaced = node.places[position]
                node.places[position] = place
                return (replaced, nil)
            }
            let position = node.row.position(of: key).position
            node.row.insert(KeyBytes(key), at: position)
            node.places.insert(place, at: position)
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
                    separator: row[position],
                    right: Node(row: KeyRow(row.suffix(from: position)), places: Array(places[position...])))
                row.removeSubrange(from: position)
                places.removeSubrange(position...)
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
            node.places.remove(at: position)
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
        private func append(_ right: Node, separator: KeyBytes) {
            if !isLeaf { row.append(contentsOf: KeyRow([separator])) }
            row.append(contentsOf: right.row)
            places.append(contentsOf: right.places)
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
        precondition(places.count == (isLeaf ? row.count : 0), "\(places.count) places")
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
