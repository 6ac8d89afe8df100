import NIOCore

/// A client session that has begun.
public struct SessionOpened: Equatable, Sendable, WireCodable {
    /// Its number in its cluster.
    public var id: UInt64
    /// How long it lives without a sign of its client, in milliseconds.
    public var leaseMilliseconds: UInt32

    /// A session of these parts.
    public init(id: UInt64, leaseMilliseconds: UInt32) {
        self.id = id
        self.leaseMilliseconds = leaseMilliseconds
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeLittle(id)
        buffer.writeLittle(leaseMilliseconds)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(id: try reader.integer(), leaseMilliseconds: try reader.integer())
    }
}
