import NIOCore

/// Names a client session within its cluster: the index of the log entry that began it, so that a number is never used
/// twice.
public struct SessionID: Hashable, Comparable, Sendable, CustomStringConvertible, WireCodable {
    /// The number.
    public let rawValue: UInt64

    /// The session that began with an entry.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Reads a number; any is one.
    public init(from reader: inout WireReader) throws(WireError) { self.init(try reader.integer()) }

    /// Appends the number.
    public func encode(into buffer: inout ByteBuffer) { buffer.writeLittle(rawValue) }

    /// Orders by the time of their beginnings.
    @inlinable public static func < (left: SessionID, right: SessionID) -> Bool { left.rawValue < right.rawValue }

    /// The number in decimal.
    public var description: String { "\(rawValue)" }
}
