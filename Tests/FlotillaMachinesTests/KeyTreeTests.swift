import FlotillaWire
import Testing

@testable import FlotillaMachines

struct KeyTreeTests {
    private func key(_ number: Int) -> KeyValue.Key {
        let digits = String(number)
        return KeyValue.Key("key/" + String(repeating: "0", count: 7 - digits.count) + digits)
    }

    private func put(_ number: Int, into tree: inout KeyTree) {
        key(number).bytes.withUnsafeBytes { tree.put(ValuePlace(index: 1, length: 1), for: $0) }
    }

    private func check(_ tree: KeyTree, holds numbers: [Int]) {
        let (count, _) = tree.root.checkInvariants()
        #expect(count == numbers.count && tree.count == numbers.count)
        #expect(tree.byteCount == 12 * numbers.count)
        var found: [KeyValue.Key] = []
        tree.visit(from: KeyValue.Key("")) {
            found.append($0.key.key)
            return true
        }
        #expect(found == numbers.map(key))
    }

    @Test(
        "The tree keeps its shape whatever the order in which keys come and go",
        arguments: ["ascending", "descending", "random"], ["ascending", "descending", "random"])
    func orders(coming: String, going: String) {
        var generator = SeededGenerator(seed: 3)
        func order(_ name: String) -> [Int] {
            switch name {
            case "ascending": Array(0..<6_000)
            case "descending": (0..<6_000).reversed()
            default: (0..<6_000).shuffled(using: &generator)
            }
        }
        var tree = KeyTree()
        for number in order(coming) { put(number, into: &tree) }
        check(tree, holds: Array(0..<6_000))
        #expect(tree.root.checkInvariants().depth <= 4)
        let leaving = order(going)
        for (step, number) in leaving.enumerated() {
            let answers = [tree.remove(key(number)), tree.remove(key(number))]
            #expect(answers == [true, false])
            if step % 1_499 == 0 { check(tree, holds: leaving[(step + 1)...].sorted()) }
        }
        check(tree, holds: [])
        #expect(tree.root.checkInvariants().depth == 1)
    }

    @Test("Keys that come in ascending order fill the leaves")
    func ascendingFillsLeaves() {
        var tree = KeyTree()
        for number in 0..<(KeyTree.capacity * KeyTree.capacity) { put(number, into: &tree) }
        #expect(tree.root.children.reduce(0) { $0 + ($1.isLeaf ? 1 : $1.children.count) } <= KeyTree.capacity + 1)
    }

    @Test("A write to a copy leaves all but one path shared")
    func sharing() {
        var tree = KeyTree()
        for number in 0..<50_000 { put(number * 2, into: &tree) }
        let frozen = tree
        put(50_001, into: &tree)
        func nodes(_ node: KeyTree.Node) -> Set<ObjectIdentifier> {
            node.children.reduce(into: [ObjectIdentifier(node)]) { $0.formUnion(nodes($1)) }
        }
        let copied = nodes(tree.root).subtracting(nodes(frozen.root))
        #expect(copied.count <= tree.root.checkInvariants().depth + 1)
        check(frozen, holds: (0..<50_000).map { $0 * 2 })
        #expect(frozen.lastKey?.key == key(99_998))
        // A key that is not there copies nothing.
        var other = frozen
        let removed = other.remove(key(1))
        #expect(!removed)
        #expect(other.root === frozen.root)
    }

    @Test("Keys are ordered by their bytes, not by what they mean")
    func byteOrder() {
        let ordered: [[UInt8]] = [
            [], [0], [0, 0], [0, 1], [1], [0x41], [0x41, 0, 0, 0, 0, 0, 0, 0], [0x41, 0, 0, 0, 0, 0, 0, 0, 0],
            [0x41, 0, 0, 0, 0, 0, 0, 0, 1], [0x41, 0, 0, 0, 0, 0, 0, 1], [0x7f], [0x80], [0xff], [0xff, 0xff],
        ]
        for (left, leftBytes) in ordered.enumerated() {
            for (right, rightBytes) in ordered.enumerated() {
                #expect((KeyValue.Key(leftBytes) < KeyValue.Key(rightBytes)) == (left < right))
            }
        }
        var tree = KeyTree()
        for bytes in ordered.reversed() {
            bytes.withUnsafeBytes { tree.put(ValuePlace(index: 1, length: 0), for: $0) }
        }
        var found: [[UInt8]] = []
        tree.visit(from: KeyValue.Key([])) {
            found.append($0.key.key.bytes)
            return true
        }
        #expect(found == ordered)
    }
}
