import FlotillaWire
import NIOCore

/// Something that a machine wants done beside its change of state.
public enum Effect: Sendable, Equatable {
    /// The leader appends a command behind everything that it has appended already; nobody waits for its reply.
    case append(ByteBuffer)
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

    /// Adds what another machine call has collected.
    public mutating func add(_ effect: Effect) { list.append(effect) }
}
