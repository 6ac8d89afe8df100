import FlotillaWire
import NIOCore

extension KeyValue {
    /// What reads the keys.
    public enum Query: WireCodable, Equatable {
        /// The value of one key. Answered by `item` or `notFound`.
        case get(Key)
        /// The keys that begin with `prefix` and stand after `after`, in order, with their values: at most `limit`, or
        /// `Limits.listKeys` when that is 0 or more than it, and no more than `Limits.listBytes` bytes unless the first
        /// pair alone has more. Answered by `page`.
        ///
        /// To get all, ask again after the last key of each page until one says that there are no more. Each page is
        /// consistent in itself; commands between two pages show in the later one.
        case list(prefix: [UInt8], after: Key?, limit: Int)
        /// How many keys there are. Answered by `count`.
        case count
    }

    /// A key with its value.
    public struct Item: Equatable, Sendable {
        /// The key.
        public var key: Key
        /// The value.
        public var value: ByteBuffer
        /// The index of the command that put the value.
        public var index: LogIndex

        /// An item of these parts.
        public init(key: Key, value: ByteBuffer, index: LogIndex) {
            self.key = key
            self.value = value
            self.index = index
        }
    }

    /// What a query's sender gets back.
    public enum Answer: WireCodable, Equatable {
        /// The key is there.
        case item(Item)
        /// The key is not there.
        case notFound
        /// A page of a listing, and whether there are more keys after its last.
        case page([Item], more: Bool)
        /// How many keys there are.
        case count(Int)
    }
}

extension KeyValue.Query {
    private enum Tag {
        static let get: UInt8 = 1
        static let list: UInt8 = 2
        static let count: UInt8 = 3
    }

    /// A byte that says which query it is; for `get` the key; for `list` the prefix, a byte that says whether a key to
    /// start after follows, that key, and 4 bytes of limit. Keys and prefixes have 4 bytes of length before them.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .get(let key):
            buffer.writeLittle(Tag.get)
            buffer.writeBytes(of: key)
        case .list(let prefix, let after, let limit):
            buffer.writeLittle(Tag.list)
            buffer.writeBytes(of: KeyValue.Key(prefix))
            buffer.writeBool(after != nil)
            if let after { buffer.writeBytes(of: after) }
            buffer.writeLittle(UInt32(clamping: limit))
        case .count: buffer.writeLittle(Tag.count)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case Tag.get: self = .get(try reader.key())
        case Tag.list:
            let prefix = try reader.key().bytes
            let after = try reader.bool() ? try reader.key() : nil
            self = .list(prefix: prefix, after: after, limit: Int(try reader.integer(as: UInt32.self)))
        case Tag.count: self = .count
        case let tag: throw WireError(.malformed, "unknown query \(tag) of a key-value machine")
        }
    }
}

extension KeyValue.Answer {
    private enum Tag {
        static let item: UInt8 = 1
        static let notFound: UInt8 = 2
        static let page: UInt8 = 3
        static let count: UInt8 = 4
    }

    /// A byte that says which answer it is; for a page a byte that says whether there are more, 4 bytes of count and
    /// the items; for a count 8 bytes. An item is 4 bytes length and the key, the same for the value, 8 bytes of index.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .item(let item):
            buffer.writeLittle(Tag.item)
            item.encode(into: &buffer)
        case .notFound: buffer.writeLittle(Tag.notFound)
        case .page(let items, let more):
            buffer.writeLittle(Tag.page)
            buffer.writeBool(more)
            buffer.writeList(items) { $1.encode(into: &$0) }
        case .count(let count):
            buffer.writeLittle(Tag.count)
            buffer.writeLittle(UInt64(count))
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case Tag.item: self = .item(try KeyValue.Item(from: &reader))
        case Tag.notFound: self = .notFound
        case Tag.page:
            let more = try reader.bool()
            let items = try reader.list(limit: Limits.listKeys) { (reader) throws(WireError) -> KeyValue.Item in
                try KeyValue.Item(from: &reader)
            }
            self = .page(items, more: more)
        case Tag.count:
            let number: UInt64 = try reader.integer()
            guard let count = Int(exactly: number) else { throw WireError(.malformed, "a count of \(number) keys") }
            self = .count(count)
        case let tag: throw WireError(.malformed, "unknown answer \(tag) of a key-value machine")
        }
    }
}

extension KeyValue.Item: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeBytes(of: key)
        buffer.writeBlock(value)
        buffer.writeLittle(index.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(key: try reader.key(), value: try reader.value(), index: try reader.index())
    }
}
