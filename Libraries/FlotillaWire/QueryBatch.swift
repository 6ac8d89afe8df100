import NIOCore

/// How fresh the answer to a query must be.
public enum QueryConsistency: UInt8, Sendable, CaseIterable {
    /// Linearizable: it reflects every command that was acknowledged before the query was sent.
    case consistent = 0
    /// From the state of a server that believes to lead; may be stale if it was deposed and does not know yet.
    case leader = 1
    /// From the state of whatever server is asked; may be arbitrarily stale.
    case local = 2
}

/// The body of a `queries` frame: a target, a consistency, and for each query 8 bytes correlation, 4 bytes length and
/// the machine's query.
public enum QueryBatch {
    /// The length of the head: target UID, consistency, reserved, count.
    public static let headByteCount = 24

    /// Appends the head.
    public static func begin(target: ServerUID, consistency: QueryConsistency, into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(target)
        buffer.writeLittle(UInt32(consistency.rawValue))
        buffer.writeLittle(UInt32(0))
    }

    /// Appends one query whose bytes `write` appends.
    @inlinable
    public static func append(
        correlation: UInt64, into buffer: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void
    ) {
        buffer.writeLittle(correlation)
        let start = buffer.writerIndex
        buffer.writeLittle(UInt32(0))
        write(&buffer)
        buffer.setInteger(UInt32(truncatingIfNeeded: buffer.writerIndex - start - 4), at: start, endianness: .little)
    }

    /// Fills in the count of the batch whose head starts at `start`.
    public static func setCount(_ count: Int, from start: Int, in buffer: inout ByteBuffer) {
        buffer.setInteger(UInt32(count), at: start + 20, endianness: .little)
    }

    /// Reads the head and calls `item` for each query in order.
    public static func decode(
        _ body: ByteBuffer, _ item: (_ correlation: UInt64, _ query: ByteBuffer) -> Void
    ) throws(WireError) -> (target: ServerUID, consistency: QueryConsistency) {
        var reader = WireReader(body)
        let target: ServerUID = try reader.identifier()
        let number: UInt32 = try reader.integer()
        guard number <= UInt32(UInt8.max), let consistency = QueryConsistency(rawValue: UInt8(number)) else {
            throw WireError(.malformed, "unknown consistency \(number)")
        }
        let count: UInt32 = try reader.integer()
        for _ in 0..<count {
            let correlation: UInt64 = try reader.integer()
            item(correlation, try reader.block(limit: Limits.commandBytesMax))
        }
        return (target, consistency)
    }
}
