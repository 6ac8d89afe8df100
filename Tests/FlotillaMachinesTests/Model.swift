import FlotillaMachines
import FlotillaWire
import NIOCore

/// What the machine must be: an unordered dictionary that is sorted for each question.
struct Model {
    var pairs: [KeyValue.Key: (value: ByteBuffer, index: LogIndex)] = [:]

    mutating func apply(_ command: KeyValue.Command, at index: LogIndex) -> KeyValue.Reply {
        switch command {
        case .put(let key, let value, let expected):
            if let expected, (pairs[key]?.index ?? 0) != expected { return .conflict(current: pairs[key]?.index) }
            pairs[key] = (value, index)
            return .stored
        case .delete(let key): return pairs.removeValue(forKey: key) == nil ? .notFound : .deleted
        }
    }

    func items(prefix: [UInt8] = []) -> [KeyValue.Item] {
        pairs.filter { $0.key.bytes.starts(with: prefix) }
            .map { KeyValue.Item(key: $0.key, value: $0.value.value, index: $0.value.index) }
            .sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
    }

    /// The indexes of all commands whose values are there.
    var liveIndexes: LiveIndexes { LiveIndexes(pairs.values.map(\.index)) }

    /// Keys of few different bytes and with long common beginnings, so that they collide, contain each other, and
    /// differ early and late.
    static func randomKey(_ generator: inout SeededGenerator) -> KeyValue.Key {
        let beginnings: [[UInt8]] = [
            [], [0], [0xff], Array("user/".utf8), Array("/registry/pods/default/application-".utf8),
        ]
        let beginning = beginnings[Int.random(in: 0..<beginnings.count, using: &generator)]
        let rest = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
            [0, 1, 0x41, 0x7f, 0x80, 0xfe, 0xff][Int.random(in: 0..<7, using: &generator)] as UInt8
        }
        let zeros = [UInt8](repeating: 0, count: Int.random(in: 0...9, using: &generator))
        return KeyValue.Key(beginning + rest + (Bool.random(using: &generator) ? zeros : []))
    }

    /// A put or a delete of such a key; some of the puts have a condition.
    ///
    /// - Parameter putting: how many of a hundred are puts.
    func randomCommand(putting: Int, _ generator: inout SeededGenerator) -> KeyValue.Command {
        let key = Self.randomKey(&generator)
        guard Int.random(in: 0..<100, using: &generator) < putting else { return .delete(key) }
        let value = ByteBuffer(integer: UInt64.random(in: 0...UInt64.max, using: &generator))
        let expected: [LogIndex?] = [nil, nil, 0, 7, pairs[key]?.index]
        return .put(key, value, ifIndex: expected[Int.random(in: 0..<expected.count, using: &generator)])
    }
}
