import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore

/// A fixed sequence of numbers, so that a failing random test fails again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// A machine with the index of its last command, as a member of a cluster of one would run it.
final class Runner {
    private(set) var machine: KeyValue
    private(set) var index: LogIndex

    init() {
        machine = KeyValue()
        index = .zero
    }

    /// One that goes on from the same state by itself.
    init(copyOf other: Runner) {
        machine = other.machine
        index = other.index
    }

    func apply(_ command: KeyValue.Command) -> KeyValue.Reply {
        index = index.next
        var effects = Effects()
        let context = ApplyContext(
            index: index, term: 1, time: LeaderTime(nanosecondsSince1970: 0), machineVersion: 0)
        return machine.apply(command, at: context, effects: &effects)
    }

    func put(_ key: String, _ value: String, ifIndex: LogIndex? = nil) -> KeyValue.Reply {
        apply(.put(KeyValue.Key(key), ByteBuffer(string: value), ifIndex: ifIndex))
    }

    func ask(_ query: KeyValue.Query) -> KeyValue.Answer {
        machine.answer(query, at: QueryContext(index: index, term: 1, machineVersion: 0))
    }

    func value(of key: String) -> String? {
        guard case .item(let item) = ask(.get(KeyValue.Key(key))) else { return nil }
        return String(buffer: item.value)
    }

    /// All keys with a prefix, page after page.
    func listing(prefix: [UInt8], limit: Int) -> [KeyValue.Item] {
        var items: [KeyValue.Item] = []
        while true {
            guard case .page(let page, let more) = ask(.list(prefix: prefix, after: items.last?.key, limit: limit))
            else { return items }
            items += page
            // A page that promises more and holds nothing would never end.
            if !more || page.isEmpty { return items }
        }
    }
}

func encoded(_ value: some WireCodable) -> ByteBuffer {
    var buffer = ByteBuffer()
    value.encode(into: &buffer)
    return buffer
}
