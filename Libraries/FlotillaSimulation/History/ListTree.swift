/// All lists that were read, as a tree: each node is a list, its children are those with one element more.
///
/// If the history is good, each read is the beginning of the longest one and the tree is a single chain. Nodes of this
/// chain are numbered by their length.
struct ListTree {
    /// A list that was read.
    struct Read {
        var elements: [UInt64]
        var returned: UInt64
    }

    /// What is known of an element that was read.
    struct Seen {
        /// Tells it from the others.
        var number: Int
        /// By when it was in the list.
        var returned: UInt64
        /// Its only place; `nil` when reads differ.
        var place: Int?
    }

    private struct Edge: Hashable {
        var parent: Int
        var element: Int
    }

    private var longest: [UInt64] = []
    private var seen: [UInt64: Seen] = [:]
    private var children: [Edge: Int] = [:]
    private var isParent: [Bool] = [false]
    /// For each element number its node in the chain.
    private var chain: [Int?] = []

    /// The tree of no reads: only the empty list.
    init() {}

    /// The tree of some reads.
    init(_ reads: [Read]) {
        longest = reads.max { $0.elements.count < $1.elements.count }?.elements ?? []
        noteChain(reads)
        for read in reads where !isBeginning(read.elements) { noteBranch(read) }
    }

    /// The number of a list that was read.
    func node(of elements: [UInt64]) -> Int {
        if isBeginning(elements) { return elements.count }
        return elements.reduce(0) { node, element in
            // Each element of a read is in the tree, and so is each beginning of it.
            seen[element].flatMap { child(of: node, $0.number) } ?? 0
        }
    }

    /// The list with one element more, if that was read.
    func child(of node: Int, _ element: Int) -> Int? {
        if chain[element] == node + 1 { return node + 1 }
        return children.isEmpty ? nil : children[Edge(parent: node, element: element)]
    }

    /// Whether a list was read that begins with this one and is longer.
    func hasChildren(_ node: Int) -> Bool { isParent[node] }

    /// What is known of an element; `nil` when it was not read.
    func seen(_ element: UInt64) -> Seen? { seen[element] }

    private func isBeginning(_ elements: [UInt64]) -> Bool { longest.starts(with: elements) }

    private mutating func noteChain(_ reads: [Read]) {
        var returned = Array(repeating: UInt64.max, count: longest.count + 1)
        for read in reads where isBeginning(read.elements) {
            returned[read.elements.count] = min(returned[read.elements.count], read.returned)
        }
        for place in longest.indices.reversed() { returned[place] = min(returned[place], returned[place + 1]) }
        isParent = Array(repeating: true, count: longest.count) + [false]
        for (place, element) in longest.enumerated() {
            let number = note(element, at: place, returned: returned[place + 1])
            if chain[number] == nil { chain[number] = place + 1 } else { addChild(number, to: place, as: place + 1) }
        }
    }

    private mutating func noteBranch(_ read: Read) {
        var node = 0
        for (place, element) in read.elements.enumerated() {
            let number = note(element, at: place, returned: read.returned)
            if let child = child(of: node, number) {
                node = child
            } else {
                isParent[node] = true
                isParent.append(false)
                addChild(number, to: node, as: isParent.count - 1)
                node = isParent.count - 1
            }
        }
    }

    private mutating func addChild(_ element: Int, to parent: Int, as child: Int) {
        children[Edge(parent: parent, element: element)] = child
    }

    private mutating func note(_ element: UInt64, at place: Int, returned: UInt64) -> Int {
        guard var known = seen[element] else {
            seen[element] = Seen(number: chain.count, returned: returned, place: place)
            chain.append(nil)
            return chain.count - 1
        }
        known.returned = min(known.returned, returned)
        if known.place != place { known.place = nil }
        seen[element] = known
        return known.number
    }
}
