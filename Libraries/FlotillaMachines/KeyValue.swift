import FlotillaMachine
import FlotillaWire
import NIOCore

/// Keys with values, in the order of the keys' bytes.
///
/// The values stay in the log. In memory are the keys alone, each with the index of the command that put its value, and
/// that index is what a snapshot needs of the log.
///
/// Each key also has the index of the command that put its value. It never falls, so a caller that puts a value only
/// `ifIndex` is still what it read loses no update of another.
public struct KeyValue: StateMachine {
    var pairs = KeyTree()
    /// Whether the last piece of a snapshot has come.
    var isRestored = false

    /// No keys.
    public init() {}

    /// No keys; nothing about the machine can be configured.
    public init(configuration: MachineConfiguration) {}

    public mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Reply {
        switch command {
        case .put(let key, let value, ifIndex: nil):
            if let refusal = Self.refusal(of: key) { return refusal }
            store(key, value, at: context.index)
        case .put(let key, let value, ifIndex: let expected?):
            if let refusal = Self.refusal(of: key) { return refusal }
            let current = pairs.pair(for: key)?.place.index
            guard (current ?? .zero) == expected else { return .conflict(current: current) }
            store(key, value, at: context.index)
        case .delete(let key):
            if let refusal = Self.refusal(of: key) { return refusal }
            return pairs.remove(key) ? .deleted : .notFound
        }
        return .stored
    }

    /// Answers a query that needs nothing of the log; `lookUp` is for all.
    public func answer(_ query: Query, at context: QueryContext) -> Answer {
        guard case .answer(let answer) = lookUp(query, at: context) else {
            preconditionFailure("the values of a key-value machine are in the log")
        }
        return answer
    }

    public var overview: [NamedValue] {
        [NamedValue("keys", UInt64(pairs.count)), NamedValue("keys_and_values_bytes", UInt64(pairs.byteCount))]
    }

    private mutating func store(_ key: Key, _ value: ByteBuffer, at index: LogIndex) {
        // No buffer has more bytes than fit into 32 bits.
        let place = ValuePlace(index: index, length: UInt32(value.readableBytes))
        key.bytes.withUnsafeBytes { pairs.put(place, for: $0) }
    }

    private static func refusal(of key: Key) -> Reply? {
        if key.bytes.isEmpty { return .refused("the key is empty") }
        guard key.bytes.count > Limits.keyBytes else { return nil }
        return .refused("the key has \(key.bytes.count) bytes, the limit is \(Limits.keyBytes)")
    }
}
