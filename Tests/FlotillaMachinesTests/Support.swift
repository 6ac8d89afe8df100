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

/// A machine with its log, as a member of a cluster of one would run it.
final class Runner {
    private(set) var machine: KeyValue
    /// The encoded commands, the first at index 1; `nil` where one is gone.
    private(set) var log: [ByteBuffer?] = []
    var index: LogIndex { LogIndex(UInt64(log.count)) }

    init(_ machine: KeyValue = KeyValue(), log: [ByteBuffer?] = []) {
        self.machine = machine
        self.log = log
    }

    /// One that goes on from the same state by itself.
    init(copyOf other: Runner) {
        machine = other.machine
        log = other.log
    }

    func apply(_ command: KeyValue.Command) -> KeyValue.Reply {
        log.append(encoded(command))
        var effects = Effects()
        let context = ApplyContext(
            index: index, term: 1, time: LeaderTime(nanosecondsSince1970: 0), machineVersion: 0)
        let reply = machine.apply(command, at: context, effects: &effects)
        precondition(effects.list.isEmpty, "a key-value machine wants nothing done")
        return reply
    }

    func put(_ key: String, _ value: String, ifIndex: LogIndex? = nil) -> KeyValue.Reply {
        apply(.put(KeyValue.Key(key), ByteBuffer(string: value), ifIndex: ifIndex))
    }

    func ask(_ query: KeyValue.Query) -> KeyValue.Answer {
        switch lookUp(query) {
        case .answer(let answer): return answer
        case .read(let indexes, let then):
            guard let answer = then(entries(at: indexes)) else { preconditionFailure("the log lacks a value") }
            return answer
        }
    }

    func lookUp(_ query: KeyValue.Query) -> QueryOutcome<KeyValue.Answer> {
        machine.lookUp(query, at: QueryContext(index: index, term: 1, machineVersion: 0))
    }

    /// What the log holds at these indexes.
    func entries(at indexes: [LogIndex]) -> ReadEntries {
        ReadEntries(of: indexes, payloads: indexes.map { log[Int($0.rawValue) - 1] })
    }

    /// Lets go of every entry but these.
    func cut(keeping live: LiveIndexes) {
        for position in log.indices where !live.contains(LogIndex(UInt64(position + 1))) { log[position] = nil }
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

/// All pieces of a snapshot.
func pieces(of snapshot: StateSnapshot?) throws -> [ByteBuffer] {
    var pieces: [ByteBuffer] = []
    while let piece = try snapshot?.next() { pieces.append(piece) }
    return pieces
}

/// A machine that was made of pieces.
func restored<Machine: StateMachine>(_ pieces: [ByteBuffer], as type: Machine.Type = Machine.self) throws -> Machine {
    var machine = try Machine(configuration: MachineConfiguration(cluster: ClusterName("test")))
    for piece in pieces { try machine.restore(piece) }
    try machine.finishRestore()
    return machine
}
