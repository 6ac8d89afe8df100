import FlotillaWire
import NIOCore

/// Something that a machine wants done beside its change of state.
///
/// What is not said to be done by every member is done by the leader alone, and by nobody where nobody leads.
public enum Effect: Sendable, Equatable {
    /// Whom a message goes to, and how.
    public struct Message: Sendable, Equatable {
        /// The session.
        public var session: SessionID
        /// The message in the machine's encoding.
        public var bytes: ByteBuffer
        /// How it is marked.
        public var mark: MessageMark
        /// Whether the voter on the session's own node sends it, where there is one.
        public var isLocal: Bool
    }

    /// Who gets the reply to a command that the machine appends.
    public enum AppendReply: Sendable, Equatable {
        /// Nobody.
        case none
        /// A session, as an event with this number.
        case notify(SessionID, correlation: UInt64)
    }

    /// What a machine may watch.
    public enum Watched: Sendable, Hashable {
        case session(SessionID)
        case node(NodeName)
    }

    /// When a timer fires.
    public enum TimerSetting: Sendable, Equatable {
        /// So long after now.
        case after(Duration)
        /// When the leader's clock shows this.
        case at(LeaderTime)
        /// Never: it is cancelled.
        case never
    }

    /// A reading of the log.
    public struct LogReading: Sendable, Equatable {
        /// The indexes of the commands.
        public var indexes: [LogIndex]
        /// The node whose member reads; `nil` for the leader.
        public var node: NodeName?
        /// Gets the commands, of which those that are gone are `nil`, and may want more done.
        public var then: @Sendable (ReadEntries, inout Effects) -> Void

        /// Whether both read the same; what they do with it is not compared.
        public static func == (left: Self, right: Self) -> Bool {
            left.indexes == right.indexes && left.node == right.node
        }
    }

    /// The leader appends a command behind everything that it has appended already.
    case append(ByteBuffer, AppendReply)
    /// A message is sent to a client session, at most once.
    case send(Message)
    /// A handler that the node knows by this name is called.
    case call(String, argument: ByteBuffer)
    /// The machine is told when it is gone, or of each change; at once what it is now.
    case monitor(Watched)
    /// It is not told any more.
    case demonitor(Watched)
    /// A timer is set, anew if it runs, or cancelled.
    case timer(String, TimerSetting)
    /// Commands of the log are read.
    case readLog(LogReading)
    /// The machine needs the log through this index no more, but for the live indexes of its state. Every member acts
    /// on it: it may take a snapshot that goes at least as far, and cut its log there.
    case releaseCursor(LogIndex)
    /// This index is a good one for a snapshot, but the machine still needs the log. Every member acts on it: it may
    /// take a snapshot and keep it until the cursor is released there or behind it, which then costs no more.
    case checkpoint(LogIndex)
    /// Every member's own part of the machine is told something.
    case aux(ByteBuffer)
}

/// A handler that a machine wants called.
public struct HandlerCall: Sendable, Equatable {
    /// The name under which it was registered.
    public var handler: String
    /// Whose machine wants it.
    public var server: ServerID
    /// What it is given, in the machine's encoding.
    public var argument: ByteBuffer

    /// A call of these parts.
    public init(handler: String, server: ServerID, argument: ByteBuffer) {
        self.handler = handler
        self.server = server
        self.argument = argument
    }
}
