import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct KeyValueTests {
    @Test("A put is read back with the index of its command, the last one wins")
    func putAndGet() {
        let runner = Runner()
        #expect(runner.put("a", "1") == .stored)
        #expect(runner.put("a", "2") == .stored)
        #expect(
            runner.ask(.get(KeyValue.Key("a")))
                == .item(KeyValue.Item(key: KeyValue.Key("a"), value: ByteBuffer(string: "2"), index: 2)))
        #expect(runner.ask(.get(KeyValue.Key("b"))) == .notFound)
        #expect(runner.ask(.get(KeyValue.Key(""))) == .notFound)
    }

    @Test("Deleting says whether the key was there")
    func delete() {
        let runner = Runner()
        _ = runner.put("a", "1")
        #expect(runner.apply(.delete(KeyValue.Key("b"))) == .notFound)
        #expect(runner.apply(.delete(KeyValue.Key("a"))) == .deleted)
        #expect(runner.apply(.delete(KeyValue.Key("a"))) == .notFound)
        #expect(runner.ask(.count) == .count(0))
    }

    @Test("A conditional put stores only when the index is the current one")
    func compareAndSet() {
        let runner = Runner()
        #expect(runner.put("a", "new", ifIndex: 3) == .conflict(current: nil))
        #expect(runner.put("a", "first", ifIndex: 0) == .stored)
        #expect(runner.put("a", "again", ifIndex: 0) == .conflict(current: 2))
        #expect(runner.put("a", "stale", ifIndex: 1) == .conflict(current: 2))
        #expect(runner.value(of: "a") == "first")
        #expect(runner.put("a", "second", ifIndex: 2) == .stored)
        #expect(runner.put("a", "late", ifIndex: 2) == .conflict(current: 5))
        #expect(runner.apply(.delete(KeyValue.Key("a"))) == .deleted)
        #expect(runner.put("a", "late", ifIndex: 5) == .conflict(current: nil))
        #expect(runner.put("a", "anew", ifIndex: 0) == .stored)
        #expect(runner.value(of: "a") == "anew")
    }

    @Test("Empty and too long keys are refused by name, the longest key and an empty value are not")
    func keyLimits() {
        let runner = Runner()
        #expect(runner.put("", "1") == .refused("the key is empty"))
        #expect(runner.apply(.delete(KeyValue.Key(""))) == .refused("the key is empty"))
        let longest = KeyValue.Key([UInt8](repeating: 1, count: Limits.keyBytes))
        let tooLong = KeyValue.Key(longest.bytes + [1])
        #expect(runner.apply(.put(longest, ByteBuffer(), ifIndex: nil)) == .stored)
        let refusal = KeyValue.Reply.refused("the key has 4097 bytes, the limit is 4096")
        #expect(runner.apply(.put(tooLong, ByteBuffer(), ifIndex: nil)) == refusal)
        #expect(runner.apply(.put(tooLong, ByteBuffer(), ifIndex: 0)) == refusal)
        #expect(runner.apply(.delete(tooLong)) == refusal)
        #expect(runner.ask(.get(longest)) == .item(KeyValue.Item(key: longest, value: ByteBuffer(), index: 3)))
        #expect(runner.ask(.count) == .count(1))
    }

    @Test("A value is taken from the entry that put it, and from no other")
    func valuesComeFromTheLog() {
        let runner = Runner()
        _ = runner.put("a", "first")
        _ = runner.put("a", "value")
        guard case .read(let indexes, let then) = runner.lookUp(.get(KeyValue.Key("a"))) else {
            Issue.record("a value that is not read from the log")
            return
        }
        #expect(indexes == [2])
        func answer(_ payload: ByteBuffer?) -> KeyValue.Answer? {
            then(ReadEntries(of: indexes, payloads: [payload]))
        }
        func put(_ key: String, _ value: String, ifIndex: LogIndex? = nil) -> ByteBuffer {
            encoded(KeyValue.Command.put(KeyValue.Key(key), ByteBuffer(string: value), ifIndex: ifIndex))
        }
        let item = KeyValue.Item(key: KeyValue.Key("a"), value: ByteBuffer(string: "value"), index: 2)
        #expect(answer(put("a", "value")) == .item(item))
        #expect(answer(put("a", "value", ifIndex: 1)) == .item(item))
        #expect(answer(nil) == nil)
        #expect(answer(put("b", "value")) == nil)
        #expect(answer(put("ab", "value")) == nil)
        #expect(answer(put("a", "values")) == nil)
        #expect(answer(encoded(KeyValue.Command.delete(KeyValue.Key("a")))) == nil)
        let whole = put("a", "value")
        for length in 0..<whole.readableBytes { #expect(answer(whole.getSlice(at: 0, length: length)) == nil) }
    }

    @Test("What needs nothing of the log is answered at once")
    func answeredAtOnce() {
        let runner = Runner()
        func isAnswered(_ query: KeyValue.Query) -> Bool {
            if case .answer = runner.lookUp(query) { true } else { false }
        }
        #expect(isAnswered(.get(KeyValue.Key("a"))) && isAnswered(.count))
        #expect(isAnswered(.list(prefix: [], after: nil, limit: 0)))
        _ = runner.put("a", "1")
        #expect(!isAnswered(.get(KeyValue.Key("a"))) && isAnswered(.get(KeyValue.Key("b"))))
        #expect(!isAnswered(.list(prefix: [], after: nil, limit: 0)))
        #expect(isAnswered(.list(prefix: [], after: KeyValue.Key("a"), limit: 0)) && isAnswered(.count))
        #expect(runner.machine.answer(.count, at: QueryContext(index: 1, term: 1, machineVersion: 0)) == .count(1))
    }
}
