import FlotillaWire
import NIOCore

/// Why a machine stopped at an entry.
public struct MachineFailure: Error, Sendable, CustomStringConvertible {
    /// The entry that it could not apply.
    public var index: LogIndex
    /// What went wrong, for people.
    public var message: String
    /// Index and message.
    public var description: String { "at index \(index): \(message)" }

    /// A failure of these parts.
    public init(index: LogIndex, message: String) {
        self.index = index
        self.message = message
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

    /// What the overview shows of the state.
    open var overview: [NamedValue] { [] }
}

/// A state machine of a known type behind the common surface.
public final class MachineHost<Machine: StateMachine>: HostedMachine {
    /// The state.
    @usableFromInline var machine: Machine
    @usableFromInline var table = SessionTable()

    /// Hosts a machine.
    public init(_ machine: Machine) { self.machine = machine }

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

    public override var overview: [NamedValue] { machine.overview }
}
