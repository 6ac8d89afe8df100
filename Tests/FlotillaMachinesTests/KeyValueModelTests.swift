import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct KeyValueModelTests {
    @Test("Random commands give what a sorted dictionary gives", arguments: [1, 2, 3, 4] as [UInt64])
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let runner = Runner()
        var model = Model()
        for step in 0..<12_000 {
            // Grows, then shrinks to nothing, then grows again.
            let command = model.randomCommand(putting: (step / 4_000) == 1 ? 5 : 85, &generator)
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
            let key = Model.randomKey(&generator)
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
                runner.apply(Model().randomCommand(putting: 70, &generator))
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
            _ = runner.apply(Model().randomCommand(putting: (step / 5_000) % 2 == 0 ? 90 : 20, &generator))
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
