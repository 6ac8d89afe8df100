import FlotillaMachine
import FlotillaWire
import NIOCore

/// Keys with values, in the order of the keys' bytes.
///
/// Each key also has the index of the command that put its value. It never falls, so a caller that puts a value only
/// `ifIndex` is still what it read loses no update of another.
public struct KeyValue: StateMachine {
    private var pairs = KeyTree()

    /// No keys.
    public init() {}

    /// No keys; nothing about the machine can be configured.
    public init(configuration: MachineConfiguration) {}

    public mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Reply {
        switch command {
        case .put(let key, let value, ifIndex: nil):
            if let refusal = Self.refusal(of: key) { return refusal }
            store(value, for: key, at: context.index)
        case .put(let key, let value, ifIndex: let expected?):
            if let refusal = Self.refusal(of: key) { return refusal }
            let current = pairs.pair(for: key)?.index
            guard (current ?? .zero) == expected else { return .conflict(current: current) }
            store(value, for: key, at: context.index)
        case .delete(let key):
            if let refusal = Self.refusal(of: key) { return refusal }
            return pairs.remove(key) ? .deleted : .notFound
        }
        return .stored
    }

    public func answer(_ query: Query, at context: QueryContext) -> Answer {
        switch query {
        case .get(let key): pairs.pair(for: key).map { .item(Item($0)) } ?? .notFound
        case .list(let prefix, let after, let limit): pairs.page(prefix: prefix, after: after, limit: limit)
        case .count: .count(pairs.count)
        }
    }

    public var overview: [NamedValue] {
        [NamedValue("keys", UInt64(pairs.count)), NamedValue("keys_and_values_bytes", UInt64(pairs.byteCount))]
    }

    /// Copies the value, since its buffer is a slice of the batch in which the command came and would keep all of it.
    private mutating func store(_ value: ByteBuffer, for key: Key, at index: LogIndex) {
        value.withUnsafeReadableBytes { pairs.put($0, for: key, index: index) }
    }

    private static func refusal(of key: Key) -> Reply? {
        if key.bytes.isEmpty { return .refused("the key is empty") }
        guard key.bytes.count > Limits.keyBytes else { return nil }
        return .refused("the key has \(key.bytes.count) bytes, the limit is \(Limits.keyBytes)")
    }
}

extension KeyValue.Item {
    init(_ pair: KeyPair) { self.init(key: pair.key, value: pair.value, index: pair.index) }
}
