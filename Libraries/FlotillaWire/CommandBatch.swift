import NIOCore

/// The body of a `commands` frame: a target server and commands that already have the form of an entry's body.
///
/// | bytes | field |
/// | --- | --- |
/// | 16 | target server's UID |
/// | 4 | count |
/// | 4 | reserved, 0 |
///
/// and for each command 4 bytes length of the body, 4 bytes CRC32C of the body, 8 bytes correlation, and the body:
/// a `CommandPrefix` and the machine's command. The client computes the checksum; the leader verifies it once and
/// puts it into the entry's header, so that it protects the command from the client to every disk and back.
public enum CommandBatch {
    /// The length of the head.
    public static let headByteCount = 24
    /// The length of what stands before each body.
    public static let itemByteCount = 16

    /// Appends the head; `setCount` fills in how many commands follow.
    public static func begin(target: ServerUID, into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(target)
        buffer.writeLittle(UInt64(0))
    }

    /// Appends one command whose body `write` appends, prefix included.
    ///
    /// - Returns: the length of the body.
    @discardableResult
    @inlinable
    public static func append(
        correlation: UInt64, into buffer: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void
    ) -> Int {
        let start = buffer.readableBytes
        buffer.writeMultipleIntegers(UInt64(0), correlation, endianness: .little)
        write(&buffer)
        let length = buffer.readableBytes - start - itemByteCount
        buffer.withUnsafeMutableReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let checksum = Checksum.crc32c(base + start + itemByteCount, count: length)
            let length = UInt32(truncatingIfNeeded: length)
            (base + start).storeBytes(of: length.littleEndian, as: UInt32.self)
            (base + start).storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
        }
        return length
    }

    /// Fills in the count of the batch whose head starts at `start`.
    public static func setCount(_ count: Int, from start: Int, in buffer: inout ByteBuffer) {
        buffer.setInteger(UInt32(count), at: start + 16, endianness: .little)
    }
}

/// The body of a `results` or an `answers` frame: who answered, in which term, and for each command or query 8 bytes
/// correlation, 8 bytes index, 4 bytes length and the machine's reply or answer. The index is that of the command, or
/// the last one that the queried state holds.
public enum ResultBatch {
    /// The length of the head: server UID, term, count, reserved.
    public static let headByteCount = 32
    /// The length of what stands before each reply.
    public static let itemByteCount = 20

    /// Appends the head.
    public static func begin(server: ServerUID, term: Term, into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(server)
        buffer.writeLittle(term.rawValue)
        buffer.writeLittle(UInt64(0))
    }

    /// Fills in the count of the batch whose head starts at `start`.
    public static func setCount(_ count: Int, from start: Int, in buffer: inout ByteBuffer) {
        buffer.setInteger(UInt32(count), at: start + 24, endianness: .little)
    }

    /// Reads the head and calls `item` for each result in order.
    public static func decode(
        _ body: ByteBuffer, _ item: (_ correlation: UInt64, _ index: LogIndex, _ reply: ByteBuffer) -> Void
    ) throws(WireError) -> (server: ServerUID, term: Term) {
        var reader = WireReader(body)
        let server: ServerUID = try reader.identifier()
        let term = try reader.term()
        let count: UInt32 = try reader.integer()
        _ = try reader.integer(as: UInt32.self)
        var rest = reader.rest
        for _ in 0..<count {
            guard
                let (correlation, index, length) = rest.readMultipleIntegers(
                    endianness: .little, as: (UInt64, UInt64, UInt32).self)
            else { throw WireError(.truncated, "\(count) results announced, fewer follow") }
            // An answer may be a little longer than the longest command, since it repeats key and value.
            guard length <= Limits.frameBytes else {
                throw WireError(.limit, "a result of \(length) bytes, the limit is \(Limits.frameBytes)")
            }
            guard let reply = rest.readSlice(length: Int(length)) else {
                throw WireError(.truncated, "a result of \(length) bytes is longer than its frame")
            }
            guard index <= Limits.position else {
                throw WireError(.limit, "index \(index), the limit is \(Limits.position)")
            }
            item(correlation, LogIndex(index), reply)
        }
        return (server, term)
    }
}

/// The body of a `rejections` frame: one error for all the commands that it lists. None of them was appended, or
/// none will ever be applied, unless the code says that the outcome is unknown.
public struct Rejections: Equatable, Sendable, WireCodable {
    /// The server that rejects.
    public var server: ServerUID
    /// Why.
    public var error: FlotillaError
    /// Which commands.
    public var correlations: [UInt64]

    /// Rejections of these parts.
    public init(server: ServerUID, error: FlotillaError, correlations: [UInt64]) {
        self.server = server
        self.error = error
        self.correlations = correlations
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(server)
        error.encode(into: &buffer)
        buffer.writeList(correlations) { $0.writeLittle($1) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let server: ServerUID = try reader.identifier()
        let error = try FlotillaError(from: &reader)
        self.init(
            server: server, error: error,
            correlations: try reader.list(limit: Limits.frameBytes / 8) { (reader) throws(WireError) -> UInt64 in
                try reader.integer()
            })
    }
}
