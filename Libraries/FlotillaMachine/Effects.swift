import FlotillaWire
import NIOCore

/// Collects what a machine wants done. What is collected while a restarted server goes through entries that it had
/// applied before is dropped.
///
/// Of a run of entries that is applied at once, the replies are sent first; then all effects are carried out in the
/// order in which they were collected.
public struct Effects: Sendable {
    /// What was collected, in order.
    public private(set) var list: [Effect] = []

    /// Nothing so far.
    public init() {}

    /// Has the leader append a command of this machine, behind all that it has appended before.
    ///
    /// - Parameter reply: who gets the reply.
    public mutating func append(_ command: some WireCodable, reply: Effect.AppendReply = .none) {
        list.append(.append(encoded(command), reply))
    }

    /// Has the leader send a message to a client session. It never waits, and is lost when the session's client can't be
    /// reached, or when the leader changes.
    ///
    /// - Parameters:
    ///   - mark: how the message is marked for its receiver.
    ///   - isLocal: whether the voter on the session's own node sends it, where there is one.
    public mutating func send(
        _ message: some WireCodable, to session: SessionID, mark: MessageMark = [], isLocal: Bool = false
    ) {
        list.append(
            .send(Effect.Message(session: session, bytes: encoded(message), mark: mark, isLocal: isLocal)))
    }

    /// Has the leader's node call a handler that was registered there under a name. Handlers are called in order, apart
    /// from the server: one that fails is noted, and nothing else.
    public mutating func call(_ handler: String, _ argument: some WireCodable) {
        list.append(.call(handler, argument: encoded(argument)))
    }

    /// Watches a session: `MachineEvent.down` tells of its end. What a leader watches it forgets when it leads no more;
    /// the machine watches anew when its server enters the role of a leader.
    public mutating func monitor(_ session: SessionID) { list.append(.monitor(.session(session))) }

    /// Watches a node: `nodeUp` or `nodeDown` tells at once which it is, and then of each change. Otherwise as with a
    /// session.
    public mutating func monitor(_ node: NodeName) { list.append(.monitor(.node(node))) }

    /// Watches a session no more.
    public mutating func demonitor(_ session: SessionID) { list.append(.demonitor(.session(session))) }

    /// Watches a node no more.
    public mutating func demonitor(_ node: NodeName) { list.append(.demonitor(.node(node))) }

    /// Sets a timer, which fires once: `MachineEvent.timeout` tells. One that runs under the name is set anew. Timers
    /// are forgotten when the leader changes; the machine sets them when its server enters the role of a leader.
    ///
    /// - Parameter name: of at most 255 bytes.
    public mutating func setTimer(_ name: String, after duration: Duration) {
        list.append(.timer(name, .after(duration)))
    }

    /// Sets a timer that fires when the leader's clock shows a time; otherwise as `setTimer(_:after:)`.
    public mutating func setTimer(_ name: String, at time: LeaderTime) { list.append(.timer(name, .at(time))) }

    /// Cancels a timer, whether it runs or not. It may have fired already: then it is told all the same.
    public mutating func cancelTimer(_ name: String) { list.append(.timer(name, .never)) }

    /// Reads commands of the log, from memory or from disk, and lets `then` say what is to be done with them.
    ///
    /// - Parameters:
    ///   - node: whose member reads; the leader by default.
    ///   - then: gets the commands; called on the thread of the server, and lost when that ends before.
    public mutating func readLog(
        _ indexes: [LogIndex], on node: NodeName? = nil,
        then: @escaping @Sendable (ReadEntries, inout Effects) -> Void
    ) {
        list.append(.readLog(Effect.LogReading(indexes: indexes, node: node, then: then)))
    }

    /// Says that the machine needs the log through an index no more, the live indexes of its state excepted. Every
    /// member acts on it.
    ///
    /// - Parameter index: at most that of the command that is being applied.
    public mutating func releaseCursor(at index: LogIndex) { list.append(.releaseCursor(index)) }

    /// Says that the state after an index is worth a snapshot that cuts nothing yet. Every member acts on it.
    ///
    /// - Parameter index: at most that of the command that is being applied.
    public mutating func checkpoint(at index: LogIndex) { list.append(.checkpoint(index)) }

    /// Tells every member's own part of the machine something, as `AuxEvent.cast`.
    public mutating func tellAux(_ command: some WireCodable) { list.append(.aux(encoded(command))) }

    /// Does nothing: memory that a machine lets go is free at once. It is there for those who port a machine that says it.
    public mutating func collectGarbage() {}

    /// Adds what another machine call has collected.
    public mutating func add(_ effect: Effect) { list.append(effect) }

    private func encoded(_ value: some WireCodable) -> ByteBuffer {
        var buffer = ByteBuffer()
        value.encode(into: &buffer)
        return buffer
    }
}
