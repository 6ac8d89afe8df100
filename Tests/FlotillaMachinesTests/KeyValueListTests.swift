import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct KeyValueListTests {
    private func keys(_ answer: KeyValue.Answer) -> [String] {
        guard case .page(let items, _) = answer else { return [] }
        return items.map { String(decoding: $0.key.bytes, as: UTF8.self) }
    }

    private func more(_ answer: KeyValue.Answer) -> Bool? {
        guard case .page(_, let more) = answer else { return nil }
        return more
    }

    private func filled(_ names: [String]) -> Runner {
        let runner = Runner()
        for name in names { _ = runner.put(name, "value of \(name)") }
        return runner
    }

    @Test("A listing obeys prefix, start and limit")
    func parts() {
        let runner = filled(["a", "b/1", "b/2", "b/3", "b", "b0", "c"])
        func list(_ prefix: String, after: String? = nil, limit: Int = 0) -> KeyValue.Answer {
            runner.ask(.list(prefix: Array(prefix.utf8), after: after.map { KeyValue.Key($0) }, limit: limit))
        }
        #expect(keys(list("")) == ["a", "b", "b/1", "b/2", "b/3", "b0", "c"])
        #expect(keys(list("b/")) == ["b/1", "b/2", "b/3"])
        #expect(more(list("b/")) == false)
        #expect(keys(list("b/", limit: 2)) == ["b/1", "b/2"])
        #expect(more(list("b/", limit: 2)) == true)
        #expect(more(list("b/", limit: 3)) == false)
        #expect(keys(list("b/", after: "b/1")) == ["b/2", "b/3"])
        #expect(keys(list("b/", after: "b/15", limit: 1)) == ["b/2"])
        #expect(keys(list("b/", after: "a")) == ["b/1", "b/2", "b/3"])
        #expect(list("b/", after: "b/3") == .page([], more: false))
        #expect(list("b/", after: "z") == .page([], more: false))
        #expect(list("x") == .page([], more: false))
        #expect(keys(list("", limit: -5)).count == 7)
    }

    @Test("A page holds no more keys than the limit, however many are asked for", arguments: [0, 1_000, 5_000, .max])
    func mostKeys(limit: Int) {
        let runner = filled((0..<1_001).map { String($0) })
        let answer = runner.ask(.list(prefix: [], after: nil, limit: limit))
        #expect(keys(answer).count == Limits.listKeys)
        #expect(more(answer) == true)
    }

    @Test("A page holds no more bytes than the limit, but at least one pair")
    func mostBytes() {
        let runner = Runner()
        let half = ByteBuffer(repeating: 1, count: Limits.listBytes / 2)
        for name in ["a", "b", "c"] { _ = runner.apply(.put(KeyValue.Key(name), half, ifIndex: nil)) }
        let whole = ByteBuffer(repeating: 1, count: Limits.listBytes + 1)
        for name in ["d", "e"] { _ = runner.apply(.put(KeyValue.Key(name), whole, ifIndex: nil)) }
        var pages: [[String]] = []
        var after: KeyValue.Key?
        repeat {
            let answer = runner.ask(.list(prefix: [], after: after, limit: 0))
            pages.append(keys(answer))
            after = pages.last?.last.map { KeyValue.Key($0) }
            if more(answer) == false { break }
        } while after != nil
        #expect(pages == [["a"], ["b"], ["c"], ["d"], ["e"]])
        // Two halves fit once their keys leave room.
        let smaller = ByteBuffer(repeating: 1, count: Limits.listBytes / 2 - 1)
        for name in ["a", "b"] { _ = runner.apply(.put(KeyValue.Key(name), smaller, ifIndex: nil)) }
        #expect(keys(runner.ask(.list(prefix: [], after: nil, limit: 0))) == ["a", "b"])
    }

    @Test("Pages together hold every key exactly once", arguments: [1, 7, 64, 65, 999])
    func continuation(limit: Int) {
        let names = (0..<3_000).map { "\($0 % 3)/\($0)" }
        let runner = filled(names)
        let all = runner.listing(prefix: [], limit: limit).map { String(decoding: $0.key.bytes, as: UTF8.self) }
        #expect(all == names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
        #expect(runner.listing(prefix: Array("1/".utf8), limit: limit).count == 1_000)
    }
}
