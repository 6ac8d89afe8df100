import NIOCore

/// How a message to a session is marked, for its receiver to tell apart what it gets.
public struct MessageMark: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    /// Marks of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// An event of the cluster.
    public static let event = MessageMark(rawValue: 1)
    /// Something that the receiver is to do.
    public static let cast = MessageMark(rawValue: 2)
}

/// What a server tells a client session by itself: a `sessionEvents` frame. Each is sent at most once.
public struct SessionEvents: Equatable, Sendable, WireCodable {
    /// One thing that is told.
    public enum Event: Equatable, Sendable {
        /// The machine has sent this.
        case message(ByteBuffer, MessageMark)
        /// A command that the machine has appended for the session was applied at this index, and replied this.
        case applied(correlation: UInt64, index: LogIndex, reply: ByteBuffer)
        /// The server leads no more; the client looks for the next leader and tells it that the session lives.
        case deposed
    }

    /// Who tells.
    public var server: ServerUID
    /// Whom.
    public var session: SessionID
    /// What, in order.
    public var events: [Event]

    /// Events of these parts.
    public init(server: ServerUID, session: SessionID, events: [Event]) {
        self.server = server
        self.session = session
        self.events = events
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(server)
        session.encode(into: &buffer)
        buffer.writeList(events) { buffer, event in
            switch event {
            case .message(let bytes, let mark):
                buffer.writeLittle(UInt8(0))
                buffer.writeLittle(mark.rawValue)
                buffer.writeBlock(bytes)
            case .applied(let correlation, let index, let reply):
                buffer.writeLittle(UInt8(1))
                buffer.writeLittle(correlation)
                buffer.writeLittle(index.rawValue)
                buffer.writeBlock(reply)
            case .deposed: buffer.writeLittle(UInt8(2))
            }
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            server: try reader.identifier(), session: try SessionID(from: &reader),
            events: try reader.list(limit: Limits.eventsPerFrame) { (reader) throws(WireError) -> Event in
                switch try reader.integer(as: UInt8.self) {
                case 0:
                    let mark = MessageMark(rawValue: try reader.integer())
                    return .message(try reader.block(limit: Limits.commandBytesMax), mark)
                case 1:
                    return .applied(
                        correlation: try reader.integer(), index: try reader.index(),
                        reply: try reader.block(limit: Limits.commandBytesMax))
                case 2: return .deposed
                case let kind: throw WireError(.malformed, "kind \(kind) of a session's events")
                }
            })
    }
}
