import FlotillaWire
import NIOCore

/// What is told to a member's own part of a machine.
public enum AuxEvent<Command: Sendable>: Sendable {
    /// Somebody asks, and waits for what is returned.
    case call(Command)
    /// Somebody tells, or the machine does by an effect.
    case cast(Command)
    /// Entries were applied.
    case applied
    /// Some time has passed; told each second.
    case tick
}

/// Where a member stands when its own part of a machine is told something.
public struct AuxContext: Sendable {
    /// What the member is.
    public var role: MachineRole
    /// The last applied index.
    public var index: LogIndex
    /// The term of the entry there.
    public var term: Term
    /// Who leads, as far as the member knows.
    public var leader: ServerID?
    /// The machine version that is effective.
    public var machineVersion: MachineVersion

    /// A context of these parts.
    public init(
        role: MachineRole, index: LogIndex, term: Term, leader: ServerID?, machineVersion: MachineVersion
    ) {
        self.role = role
        self.index = index
        self.term = term
        self.leader = leader
        self.machineVersion = machineVersion
    }
}

/// The same without the type of the command, as the kernel tells it.
public enum RawAuxEvent: Sendable {
    case call(ByteBuffer)
    case cast(ByteBuffer)
    case applied
    case tick
}
