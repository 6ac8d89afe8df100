import FlotillaWire
import NIOCore

/// The replies to a run of commands, back to back in one buffer: cheap to fill, and read once.
public struct Replies: Sendable {
    @usableFromInline var buffer = ByteBuffer()
    @usableFromInline var endings: [Int] = []

    /// The encoded replies.
    public var bytes: ByteBuffer { buffer }
    /// Where each reply ends; it starts where the one before ends.
    public var ends: [Int] { endings }
    /// The positions in `ends` of commands that the machine could not read. They changed nothing, on any member.
    public private(set) var unreadable: [Int] = []

    /// No replies.
    public init() {}

    /// Forgets all, keeping the memory.
    public mutating func removeAll() {
        buffer.clear()
        endings.removeAll(keepingCapacity: true)
        unreadable.removeAll(keepingCapacity: true)
    }

    @usableFromInline
    mutating func appendUnreadable() {
        unreadable.append(endings.count)
        appendNothing()
    }

    /// Adds the reply to the next entry.
    @inlinable
    mutating func append(_ reply: some WireCodable) {
        reply.encode(into: &buffer)
        endings.append(buffer.writerIndex)
    }

    /// Adds an empty reply, for an entry that is no command.
    @inlinable
    mutating func appendNothing() { endings.append(buffer.writerIndex) }
}
