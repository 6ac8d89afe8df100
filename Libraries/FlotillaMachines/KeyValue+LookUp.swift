import FlotillaMachine
import FlotillaWire
import NIOCore

extension KeyValue {
    /// Answers from the keys alone where that is enough, and otherwise asks for the commands that put the values.
    public func lookUp(_ query: Query, at context: QueryContext) -> QueryOutcome<Answer> {
        switch query {
        case .get(let key):
            guard let pair = pairs.pair(for: key) else { return .answer(.notFound) }
            return .read([pair.place.index]) { entries in pair.item(in: entries[0]).map { .item($0) } }
        case .list(let prefix, let after, let limit):
            let (page, more) = pairs.page(prefix: prefix, after: after, limit: limit)
            guard !page.isEmpty else { return .answer(.page([], more: more)) }
            return .read(page.map(\.place.index)) { entries in
                var items: [Item] = []
                items.reserveCapacity(page.count)
                for (position, pair) in page.enumerated() {
                    guard let item = pair.item(in: entries[position]) else { return nil }
                    items.append(item)
                }
                return .page(items, more: more)
            }
        case .count: return .answer(.count(pairs.count))
        }
    }
}

extension KeyPair {
    /// The key with its value, which shares storage with the command.
    ///
    /// - Returns: `nil` when the command is not the one that put the value.
    fileprivate func item(in command: ByteBuffer?) -> KeyValue.Item? {
        guard let command else { return nil }
        var reader = WireReader(command)
        guard case .put(let key, let value, _)? = try? KeyValue.Command(from: &reader), self.key.equals(key.bytes),
            value.readableBytes == Int(place.length)
        else { return nil }
        return KeyValue.Item(key: key, value: value, index: place.index)
    }
}
