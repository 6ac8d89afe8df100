import FlotillaWire
import NIOCore

/// Why a machine stopped at an entry.
public struct MachineFailure: Error, Sendable, CustomStringConvertible {
    /// The entry that it could not apply.
    public var index: LogIndex
    /// What went wrong, for people.
    public var message: String
    /// Whether the machine can't run the version that its cluster runs: other code may.
    public var isOfVersion = false
    /// Index and message.
    public var description: String { "at index \(index): \(message)" }

    /// A failure of these parts.
    public init(index: LogIndex, message: String, isOfVersion: Bool = false) {
        self.index = index
        self.message = message
        self.isOfVersion = isOfVersion
    }

    /// A failure because a version of the machine is needed that the code can't run.
    public init(
        index: LogIndex, needs version: MachineVersion, of versions: ClosedRange<MachineVersion>
    ) {
        let range = "\(versions.lowerBound) to \(versions.upperBound)"
        self.init(
            index: index, message: "the cluster runs version \(version) of the machine, this node has \(range)",
            isOfVersion: true)
    }
}

/// A state machine without its type: what the kernel holds. One virtual call serves a whole run of entries.
///
/// Not thread-safe: it belongs to the kernel that hosts its server.
open class HostedMachine {
    /// For subclasses.
    public init() {}

    /// Applies the committed entries that stand back to back in `entries`, whole and verified.
    ///
    /// - Parameters:
    ///   - replies: gets one reply for each entry, also for those that are no commands; `nil` when nobody waits.
    ///   - effects: gets what the machine wants done.
    /// - Returns: index and term of the last entry, both zero when there is none.
    /// - Throws: `MachineFailure` at the first entry that the machine can't apply; those before it are applied.
    open func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        preconditionFailure("a hosted machine must apply entries")
    }

    /// Answers an encoded query by appending the encoded answer.
    ///
    /// - Returns: `nil` when the answer was appended; otherwise what must be read from the log for it, and nothing was
    ///   appended.
    /// - Throws: `WireError` when the query can't be read.
    open func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead? {
        preconditionFailure("a hosted machine must answer queries")
    }

    /// The state as it is, to be written down on another thread; `nil` when the machine knows no snapshots.
    open func freeze() -> StateSnapshot? { nil }

    /// Takes the next piece of a snapshot into a machine in its first state.
    ///
    /// - Throws: `WireError` when the piece is refused. The machine is then of no use.
    open func restore(_ piece: ByteBuffer) throws(WireError) {
        throw WireError(.malformed, "the machine knows no snapshots")
    }

    /// Ends the restoring.
    ///
    /// - Throws: `WireError` when pieces are missing. The machine is then of no use.
    open func finishRestore() throws(WireError) {}

    /// The client sessions, which change as entries are applied.
    open var sessions: SessionTable { SessionTable() }

    /// Takes the next piece of a snapshot with sessions; all of them come before the first piece of the state.
    ///
    /// - Throws: `WireError` when the piece is refused. The machine is then of no use.
    open func restoreSessions(_ piece: ByteBuffer) throws(WireError) {
        throw WireError(.malformed, "the machine knows no sessions")
    }

    /// Tells the machine what its server has become.
    open func entered(_ role: MachineRole, effects: inout Effects) {}

    /// Tells the machine that some time has passed.
    open func tick(at time: LeaderTime, effects: inout Effects) {}

    /// Tells the machine that it has taken the place of another, which is of the same type.
    open func installed(at index: LogIndex, replacing old: HostedMachine, effects: inout Effects) {}

    /// Tells the member's own part of the machine something.
    ///
    /// - Returns: the encoded reply; `nil` where there is none.
    /// - Throws: `WireError` when the command can't be read.
    open func tellAux(
        _ event: RawAuxEvent, at context: AuxContext, effects: inout Effects
    ) throws(WireError) -> ByteBuffer? { nil }

    /// Whether members have something of their own.
    open var hasAux: Bool { false }

    /// The versions of the machine that this code can run.
    open var versions: ClosedRange<MachineVersion> { 0...0 }

    /// What the overview shows of the state.
    open var overview: [NamedValue] { [] }
}

/// A state machine of a known type behind the common surface.
public final class MachineHost<Machine: StateMachine>: HostedMachine {
    /// The state.
    @usableFromInline var machine: Machine
    @usableFromInline var table = SessionTable()
    private var aux: Machine.Aux

    /// Hosts a machine, with what the member has of its own.
    public init(_ machine: Machine, aux: Machine.Aux) {
        self.machine = machine
        self.aux = aux
    }

    /// Hosts a machine whose members have nothing of their own.
    public convenience init(_ machine: Machine) where Machine.Aux == Nothing { self.init(machine, aux: Nothing()) }

    @inlinable
    public override func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        try machine.applyRun(entries, version: &version, sessions: &table, replies: &replies, effects: &effects)
    }

    @inlinable
    public override func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead? {
        try machine.answerQuery(query, at: context, into: &buffer)
    }

    public override func freeze() -> StateSnapshot? { machine.snapshot() }

    public override func restore(_ piece: ByteBuffer) throws(WireError) { try machine.restore(piece) }

    public override func finishRestore() throws(WireError) { try machine.finishRestore() }

    public override var sessions: SessionTable { table }

    public override func restoreSessions(_ piece: ByteBuffer) throws(WireError) { try table.restore(piece) }

    public override func entered(_ role: MachineRole, effects: inout Effects) {
        machine.entered(role, effects: &effects)
    }

    public override func tick(at time: LeaderTime, effects: inout Effects) { machine.tick(at: time, effects: &effects) }

    public override func installed(at index: LogIndex, replacing old: HostedMachine, effects: inout Effects) {
        guard let old = old as? MachineHost<Machine> else { return }
        // A snapshot says nothing of what is the member's own.
        aux = old.aux
        machine.snapshotInstalled(at: index, replacing: old.machine, effects: &effects)
    }

    public override func tellAux(
        _ event: RawAuxEvent, at context: AuxContext, effects: inout Effects
    ) throws(WireError) -> ByteBuffer? {
        let event: AuxEvent<Machine.AuxCommand> =
            switch event {
            case .call(let bytes): .call(try Self.auxCommand(in: bytes))
            case .cast(let bytes): .cast(try Self.auxCommand(in: bytes))
            case .applied: .applied
            case .tick: .tick
            }
        return machine.handle(event, aux: &aux, at: context, effects: &effects).map { reply in
            var buffer = ByteBuffer()
            reply.encode(into: &buffer)
            return buffer
        }
    }

    private static func auxCommand(in bytes: ByteBuffer) throws(WireError) -> Machine.AuxCommand {
        var reader = WireReader(bytes)
        return try Machine.AuxCommand(from: &reader)
    }

    public override var hasAux: Bool { Machine.Aux.self != Nothing.self }

    public override var versions: ClosedRange<MachineVersion> { Machine.versions }

    public override var overview: [NamedValue] { machine.overview }
}
