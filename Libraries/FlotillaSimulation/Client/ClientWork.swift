import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore

/// What a simulated client asks of a cluster.
package enum ClientWork: Equatable, Sendable {
    /// Stores a value, which no other put has, under a key; with `ifIndex` only over the value that was put there.
    case put(key: Int, value: UInt64, ifIndex: UInt64?)
    case get(key: Int)
    case delete(key: Int)
    /// Adds to the number of the cluster; the mark makes each command's bytes its own.
    case add(amount: Int64, mark: UInt64)
    case total
    /// Appends a number, which no other append has, to the list of a key.
    case append(key: Int, element: UInt64)
    case read(key: Int)

    /// Whether it changes nothing and is no entry of the log.
    package var isQuery: Bool {
        switch self {
        case .get, .total, .read: true
        case .put, .delete, .add, .append: false
        }
    }

    /// Appends the machine's encoding of the command or query.
    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .put(let key, let value, let ifIndex):
            var bytes = ByteBuffer()
            bytes.writeLittle(value)
            // Of different lengths, so that batches and frames end anywhere, and some over several sectors of a disk.
            bytes.writeRepeatingByte(0x2e, count: Int(value % 7) * (value % 5 == 0 ? 280 : 40))
            KeyValue.Command.put(Self.key(key), bytes, ifIndex: ifIndex.map { LogIndex($0) }).encode(into: &buffer)
        case .get(let key): KeyValue.Query.get(Self.key(key)).encode(into: &buffer)
        case .delete(let key): KeyValue.Command.delete(Self.key(key)).encode(into: &buffer)
        case .add(let amount, let mark):
            var annotation = ByteBuffer()
            annotation.writeLittle(mark)
            Counter.Command(amount: amount, annotation: annotation).encode(into: &buffer)
        case .total: break
        case .append(let key, let element):
            AppendList.Command(key: UInt64(key), element: element).encode(into: &buffer)
        case .read(let key): AppendList.Query(key: UInt64(key)).encode(into: &buffer)
        }
    }

    private static func key(_ number: Int) -> KeyValue.Key { KeyValue.Key("key\(number)") }

    /// Reads what the machine answered.
    func answer(in bytes: ByteBuffer, index: LogIndex) throws(WireError) -> ClientAnswer {
        var reader = WireReader(bytes)
        switch self {
        case .put, .delete: return try Self.answer(KeyValue.Reply(from: &reader), index: index)
        case .get: return try Self.answer(KeyValue.Answer(from: &reader))
        case .add, .append, .total: return .number(try Int64(from: &reader))
        case .read: return .list(try AppendList.Answer(from: &reader).elements)
        }
    }

    private static func answer(_ reply: KeyValue.Reply, index: LogIndex) throws(WireError) -> ClientAnswer {
        switch reply {
        case .stored: return .stored(index: index.rawValue)
        case .deleted: return .deleted
        case .notFound: return .absent
        case .conflict(let current): return .conflict(current: current?.rawValue)
        case .refused(let reason): throw WireError(.malformed, reason)
        }
    }

    private static func answer(_ answer: KeyValue.Answer) throws(WireError) -> ClientAnswer {
        switch answer {
        case .item(let item):
            var reader = WireReader(item.value)
            return .item(value: try reader.integer(), index: item.index.rawValue)
        case .notFound: return .absent
        case .page, .count: throw WireError(.malformed, "another answer than was asked for")
        }
    }
}

extension ClientWork: CustomStringConvertible {
    /// What is asked, in a few letters.
    package var description: String {
        switch self {
        case .put(let key, let value, nil): "put key\(key)=\(value)"
        case .put(let key, let value, let index?): "put key\(key)=\(value) if \(index)"
        case .get(let key): "get key\(key)"
        case .delete(let key): "delete key\(key)"
        case .add(let amount, _): "add \(amount)"
        case .total: "total"
        case .append(let key, let element): "append \(element) to \(key)"
        case .read(let key): "read \(key)"
        }
    }
}

/// What a cluster answered.
package enum ClientAnswer: Equatable, Sendable {
    case stored(index: UInt64)
    case conflict(current: UInt64?)
    case deleted
    case absent
    case item(value: UInt64, index: UInt64)
    case number(Int64)
    case list([UInt64])
}

extension ClientAnswer: CustomStringConvertible {
    /// The answer in a few words; of a list only how long it is and how it ends, since it may have thousands of parts.
    package var description: String {
        switch self {
        case .stored(let index): "stored at \(index)"
        case .conflict(let current): "conflict with \(current.map { "\($0)" } ?? "nothing")"
        case .deleted: "deleted"
        case .absent: "absent"
        case .item(let value, let index): "\(value) stored at \(index)"
        case .number(let number): "\(number)"
        case .list(let elements): "\(elements.count) elements, the last \(elements.last.map { "\($0)" } ?? "none")"
        }
    }
}
