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
    /// Why a command got no reply of the machine.
    public enum Refusal: Sendable, Equatable {
        /// The machine can't read it. It changed nothing, on any member.
        case unreadable
        /// Its session is none, or none any more. It changed nothing, on any member.
        case unknownSession
        /// It was applied before, and what it replied then is not known any more.
        case replyGone
    }

    /// The commands that got no reply of the machine, by their positions in `ends`, which rise.
    public private(set) var refused: [(position: Int, refusal: Refusal)] = []

    /// The replies that were given before, by their positions in `ends`, which rise, and where the commands stand that
    /// they were given to.
    public private(set) var repeated: [(position: Int, index: LogIndex)] = []

    /// No replies.
    public init() {}

    /// Forgets all, keeping the memory.
    public mutating func removeAll() {
        buffer.clear()
        endings.removeAll(keepingCapacity: true)
        refused.removeAll(keepingCapacity: true)
        repeated.removeAll(keepingCapacity: true)
    }

    @usableFromInline
    mutating func append(_ refusal: Refusal) {
        refused.append((endings.count, refusal))
        appendNothing()
    }

    /// Adds a reply that was given before, to the command at an index.
    @usableFromInline
    mutating func append(encoded reply: ByteBuffer, from index: LogIndex) {
        repeated.append((endings.count, index))
        append(encoded: reply)
    }

    /// Adds a reply that is encoded already.
    @usableFromInline
    mutating func append(encoded reply: ByteBuffer) {
        buffer.writeImmutableBuffer(reply)
        endings.append(buffer.writerIndex)
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
