import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

/// Snapshots at any moment, while commands go on, against the naive model.
struct KeyValueFreezingTests {
    /// A frozen state, and what it must be.
    private struct Frozen {
        var snapshot: StateSnapshot
        var model: Model
        var log: [ByteBuffer?]
    }

    @Test("A frozen state stays what it was, and is restored from its pieces and live entries", arguments: [1, 2, 3])
    func freezing(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let runner = Runner()
        var model = Model()
        var frozen: [Frozen] = []
        for step in 0..<3_000 {
            let command = model.randomCommand(putting: (step / 1_000) == 1 ? 10 : 80, &generator)
            let reply = runner.apply(command)
            #expect(reply == model.apply(command, at: runner.index))
            if Int.random(in: 0..<200, using: &generator) == 0 {
                frozen.append(
                    Frozen(snapshot: try #require(runner.machine.snapshot()), model: model, log: runner.log))
            }
            // Written down while commands go on, in no particular order.
            if Int.random(in: 0..<300, using: &generator) == 0, let old = frozen.popLast() {
                try check(old, &generator)
            }
        }
        for old in frozen { try check(old, &generator) }
    }

    private func check(_ frozen: Frozen, _ generator: inout SeededGenerator) throws {
        let live = frozen.snapshot.liveIndexes()
        #expect(live == frozen.model.liveIndexes)
        let copy = Runner(try restored(pieces(of: frozen.snapshot)), log: frozen.log)
        // Nothing but the live entries is left of the log.
        copy.cut(keeping: live)
        #expect(copy.listing(prefix: [], limit: 17) == frozen.model.items())
        #expect(copy.ask(.count) == .count(frozen.model.pairs.count))
        // It goes on as the one that it was made from.
        var model = frozen.model
        for _ in 0..<100 {
            let command = model.randomCommand(putting: 60, &generator)
            let reply = copy.apply(command)
            #expect(reply == model.apply(command, at: copy.index))
        }
        #expect(copy.listing(prefix: [], limit: 0) == model.items())
    }

    @Test("A read whose entries were cut meanwhile finds nothing, and is found by another look-up")
    func missingEntries() throws {
        let runner = Runner()
        let key = KeyValue.Key("a")
        _ = runner.put("a", "old")
        _ = runner.put("b", "other")
        let all = KeyValue.Query.list(prefix: [], after: nil, limit: 0)
        guard case .read(let indexes, let then) = runner.lookUp(.get(key)),
            case .read(let page, let thenPage) = runner.lookUp(all)
        else {
            Issue.record("values that are not in the log")
            return
        }
        _ = runner.put("a", "new")
        // The entry is still there: the answer is that of the moment of the look-up.
        let old = KeyValue.Item(key: key, value: ByteBuffer(string: "old"), index: 1)
        #expect(then(runner.entries(at: indexes)) == .item(old))
        runner.cut(keeping: try #require(runner.machine.snapshot()).liveIndexes())
        #expect(then(runner.entries(at: indexes)) == nil)
        #expect(thenPage(runner.entries(at: page)) == nil)
        #expect(runner.value(of: "a") == "new")
        #expect(runner.listing(prefix: [], limit: 0).map(\.index) == [3, 2])
    }
}
