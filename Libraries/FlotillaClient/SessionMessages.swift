import FlotillaMachine
import FlotillaWire
import NIOCore

/// What a cluster tells the client's session by itself.
public enum SessionMessage<Machine: StateMachine>: Sendable {
    /// The machine has sent this (`Effects.send`).
    case message(Machine.Message, mark: MessageMark)
    /// A command that the machine has appended for the session was applied.
    case applied(correlation: UInt64, index: LogIndex, reply: Machine.Reply)
    /// The connection or the leader has changed: what was told in between may be lost.
    case interrupted
    /// Another session has taken the place of the one before: what is told to that is told to nobody.
    case sessionChanged(SessionID)
}

extension SessionMessage {
    /// Reads a message; `nil` for one that is for the client alone.
    fileprivate init?(_ raw: RawSessionMessage) throws(FlotillaError) {
        switch raw {
        case .interrupted: self = .interrupted
        case .sessionChanged(let session): self = .sessionChanged(session)
        case .event(.message(let bytes, let mark)):
            self = .message(try decode(bytes, as: Machine.Message.self, what: "a message"), mark: mark)
        case .event(.applied(let correlation, let index, let reply)):
            let reply = try decode(reply, as: Machine.Reply.self, what: "the reply to a command of the machine")
            self = .applied(correlation: correlation, index: index, reply: reply)
        case .event(.deposed): return nil
        }
    }
}

/// The messages of a cluster to the client's session, in the order in which they came.
///
/// Each comes once at most: it is lost when the leader changes, when the connection is lost, and when 8,192 wait to be
/// taken; `ClientCounters.droppedMessages` counts the latter.
public struct SessionMessages<Machine: StateMachine>: AsyncSequence, Sendable {
    let stream: AsyncStream<RawSessionMessage>

    /// Takes the messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        var raw: AsyncStream<RawSessionMessage>.Iterator

        /// The next message; `nil` when the client was shut down or the task is cancelled.
        ///
        /// - Throws: `FlotillaError` for one that can't be read as the machine's; the next may be taken after it.
        public mutating func next() async throws(FlotillaError) -> SessionMessage<Machine>? {
            while let raw = await raw.next() {
                if let message = try SessionMessage<Machine>(raw) { return message }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(raw: stream.makeAsyncIterator()) }
}

/// A message to a session in the machine's encoding.
enum RawSessionMessage: Sendable {
    case event(SessionEvents.Event)
    case interrupted
    case sessionChanged(SessionID)
}

extension ClusterClient {
    /// Opens the client's session with the cluster, and takes what the cluster tells it from then on.
    ///
    /// - Parameter timeout: bounds the opening; `nil` for the client's own.
    /// - Returns: the session, by which commands of the client are known to the machine, and the messages. A later call
    ///   gets the same messages once more.
    /// - Throws: `FlotillaError` as `openSession`, and `invalidArgument` when the client is configured to have no sessions.
    public func messages(
        timeout: Duration? = nil
    ) async throws(FlotillaError) -> (session: SessionID, messages: SessionMessages<Machine>) {
        try await openSession(timeout: timeout)
        let name = name
        let (session, stream): (SessionID, AsyncStream<RawSessionMessage>) = try await client.onLoop {
            core, complete in complete(core.listen(to: name))
        }
        return (session, SessionMessages(stream: stream))
    }
}
