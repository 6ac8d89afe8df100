import FlotillaWire
import NIOCore

extension KeyValue {
    /// What changes the keys.
    public enum Command: WireCodable, Equatable {
        /// Stores a value under a key; with `ifIndex` only if the key's current value was put at that index, or, with
        /// index 0, only if the key is absent. Answered by `stored`, `conflict` or `refused`.
        case put(Key, ByteBuffer, ifIndex: LogIndex?)
        /// Removes a key. Answered by `deleted`, `notFound` or `refused`.
        case delete(Key)
    }

    /// What a command's sender gets back.
    public enum Reply: WireCodable, Equatable {
        /// The value is stored; its index is that of the command.
        case stored
        /// The key was there and is removed.
        case deleted
        /// The key was not there.
        case notFound
        /// Nothing was changed, because the key's value was put at this index instead of the expected one; `nil` when
        /// the key is absent.
        case conflict(current: LogIndex?)
        /// Nothing was changed, because the key breaks a rule that the text names.
        case refused(String)
    }
}

extension KeyValue.Command {
    private enum Tag {
        static let put: UInt8 = 1
        static let putIfIndex: UInt8 = 2
        static let delete: UInt8 = 3
    }

    /// A byte that says which command it is; for a conditional put 8 bytes of the expected index; 4 bytes length and
    /// the key; for a put 4 bytes length and the value.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .put(let key, let value, ifIndex: nil):
            buffer.writeLittle(Tag.put)
            buffer.writeBytes(of: key)
            buffer.writeBlock(value)
        case .put(let key, let value, ifIndex: let expected?):
            buffer.writeLittle(Tag.putIfIndex)
            buffer.writeLittle(expected.rawValue)
            buffer.writeBytes(of: key)
            buffer.writeBlock(value)
        case .delete(let key):
            buffer.writeLittle(Tag.delete)
            buffer.writeBytes(of: key)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case Tag.put: self = .put(try reader.key(), try reader.value(), ifIndex: nil)
        case Tag.putIfIndex:
            let expected = try reader.index()
            self = .put(try reader.key(), try reader.value(), ifIndex: expected)
        case Tag.delete: self = .delete(try reader.key())
        case let tag: throw WireError(.malformed, "unknown command \(tag) of a key-value machine")
        }
    }
}

extension KeyValue.Reply {
    private enum Tag {
        static let stored: UInt8 = 1
        static let deleted: UInt8 = 2
        static let notFound: UInt8 = 3
        static let conflict: UInt8 = 4
        static let refused: UInt8 = 5
    }

    /// A byte that says which reply it is; for a conflict one byte that says whether the key is there and 8 bytes of
    /// its index; for a refusal a text.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .stored: buffer.writeLittle(Tag.stored)
        case .deleted: buffer.writeLittle(Tag.deleted)
        case .notFound: buffer.writeLittle(Tag.notFound)
        case .conflict(let current):
            buffer.writeLittle(Tag.conflict)
            buffer.writeBool(current != nil)
            buffer.writeLittle((current ?? .zero).rawValue)
        case .refused(let reason):
            buffer.writeLittle(Tag.refused)
            buffer.writeText(reason, limit: Limits.errorMessageBytes)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case Tag.stored: self = .stored
        case Tag.deleted: self = .deleted
        case Tag.notFound: self = .notFound
        case Tag.conflict:
            let isPresent = try reader.bool()
            let index = try reader.index()
            self = .conflict(current: isPresent ? index : nil)
        case Tag.refused: self = .refused(try reader.string(limit: Limits.errorMessageBytes))
        case let tag: throw WireError(.malformed, "unknown reply \(tag) of a key-value machine")
        }
    }
}

extension ByteBuffer {
    /// Appends a 32-bit length and the key's bytes.
    mutating func writeBytes(of key: KeyValue.Key) {
        writeLittle(UInt32(key.bytes.count))
        writeBytes(key.bytes)
    }
}

extension WireReader {
    /// Takes a key. One that is too long for the machine is still read, so that the machine can refuse it by name.
    mutating func key() throws(WireError) -> KeyValue.Key {
        let bytes = try block(limit: Limits.commandBytesMax)
        return KeyValue.Key(bytes.withUnsafeReadableBytes { Array($0) })
    }

    /// Takes a value, which shares storage with the source.
    mutating func value() throws(WireError) -> ByteBuffer { try block(limit: Limits.commandBytesMax) }
}
