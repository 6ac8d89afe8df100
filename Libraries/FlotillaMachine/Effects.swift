import FlotillaWire
import NIOCore

/// Something that a machine wants done beside its change of state.
public enum Effect: Sendable, Equatable {
    /// The leader appends a command behind everything that it has appended already; nobody waits for its reply.
    case append(ByteBuffer)
    /// The machine needs the log through this index no more, but for the live indexes of its state. Every member acts
    /// on it: it may take a snapshot that goes at least as far, and cut its log there.
    case releaseCursor(LogIndex)
    /// This index is a good one for a snapshot, but the machine still needs the log. Every member acts on it: it may
    /// take a snapshot and keep it until the cursor is released there or behind it, which then costs no more.
    case checkpoint(LogIndex)
}

/// Collects what a machine wants done while it applies a command. What is collected while a restarted server goes
/// through entries that it had applied before is dropped.
public struct Effects: Sendable {
    /// What was collected, in order.
    public private(set) var list: [Effect] = []

    /// Nothing so far.
    public init() {}

    /// Has the leader append a command of this machine.
    public mutating func append(_ command: some WireCodable) {
        var buffer = ByteBuffer()
        command.encode(into: &buffer)
        list.append(.append(buffer))
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

    /// Adds what another machine call has collected.
    public mutating func add(_ effect: Effect) { list.append(effect) }
}
