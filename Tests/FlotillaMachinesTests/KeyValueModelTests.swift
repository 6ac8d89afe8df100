import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

/// What the machine must be: an unordered dictionary that is sorted for each question.
private struct Model {
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
}

struct KeyValueModelTests {
    /// Keys of few different bytes and with long common beginnings, so that they collide, contain each other, and
    /// differ early and late.
    private func randomKey(_ generator: inout SeededGenerator) -> KeyValue.Key {
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

    private func randomCommand(
        _ model: Model, putting: Int, _ generator: inout SeededGenerator
    ) -> KeyValue.Command {
        let key = randomKey(&generator)
        guard Int.random(in: 0..<100, using: &generator) < putting else { return .delete(key) }
        let value = ByteBuffer(integer: UInt64.random(in: 0...UInt64.max, using: &generator))
        let expected: [LogIndex?] = [nil, nil, 0, 7, model.pairs[key]?.index]
        return .put(key, value, ifIndex: expected[Int.random(in: 0..<expected.count, using: &generator)])
    }

    @Test("Random commands give what a sorted dictionary gives", arguments: [1, 2, 3, 4] as [UInt64])
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let runner = Runner()
        var model = Model()
        for step in 0..<12_000 {
            // Grows, then shrinks to nothing, then grows again.
            let command = randomCommand(model, putting: (step / 4_000) == 1 ? 5 : 85, &generator)
            let reply = runner.apply(command)
            let expected = model.apply(command, at: runner.index)
            #expect(reply == expected)
            if step % 1_500 == 0 { check(runner, model, &generator) }
        }
        check(runner, model, &generator)
    }

    private func check(_ runner: Runner, _ model: Model, _ generator: inout SeededGenerator) {
        #expect(runner.ask(.count) == .count(model.pairs.count))
        #expect(runner.listing(prefix: [], limit: 17) == model.items())
        let bytes = model.pairs.reduce(0) { $0 + $1.key.bytes.count + $1.value.value.readableBytes }
        #expect(
            runner.machine.overview == [
                NamedValue("keys", UInt64(model.pairs.count)), NamedValue("keys_and_values_bytes", UInt64(bytes)),
            ])
        for _ in 0..<50 {
            let key = randomKey(&generator)
            let expected = model.pairs[key].map { KeyValue.Item(key: key, value: $0.value, index: $0.index) }
            #expect(runner.ask(.get(key)) == expected.map { .item($0) } ?? .notFound)
            let prefix = Array(key.bytes.prefix(Int.random(in: 0...key.bytes.count, using: &generator)))
            #expect(runner.listing(prefix: prefix, limit: 5) == model.items(prefix: prefix))
        }
    }

    @Test("The same commands give the same replies and answers")
    func determinism() {
        func run() -> ([KeyValue.Reply], [KeyValue.Item]) {
            var generator = SeededGenerator(seed: 99)
            let runner = Runner()
            let replies = (0..<5_000).map { _ in
                runner.apply(randomCommand(Model(), putting: 70, &generator))
            }
            return (replies, runner.listing(prefix: [], limit: 0))
        }
        let (first, second) = (run(), run())
        #expect(first.0 == second.0)
        #expect(first.1 == second.1)
    }

    @Test("A copy keeps its state while the original goes on, and the other way round")
    func copies() {
        var generator = SeededGenerator(seed: 5)
        let runner = Runner()
        var frozen: [(Runner, [KeyValue.Item])] = []
        for step in 0..<20_000 {
            _ = runner.apply(randomCommand(Model(), putting: (step / 5_000) % 2 == 0 ? 90 : 20, &generator))
            if step % 2_500 == 0 { frozen.append((Runner(copyOf: runner), runner.listing(prefix: [], limit: 0))) }
        }
        let end = runner.listing(prefix: [], limit: 0)
        for (copy, items) in frozen {
            #expect(copy.listing(prefix: [], limit: 0) == items)
            let changed = Runner(copyOf: copy)
            for item in items { _ = changed.apply(.delete(item.key)) }
            #expect(changed.ask(.count) == .count(0))
            #expect(copy.listing(prefix: [], limit: 0) == items)
        }
        #expect(runner.listing(prefix: [], limit: 0) == end)
    }
}
