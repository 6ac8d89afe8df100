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
    open func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) {
        preconditionFailure("a hosted machine must answer queries")
    }

    /// What the overview shows of the state.
    open var overview: [NamedValue] { [] }
}

/// A state machine of a known type behind the common surface.
public final class MachineHost<Machine: StateMachine>: HostedMachine {
    /// The state.
    @usableFromInline var machine: Machine

    /// Hosts a machine.
    public init(_ machine: Machine) { self.machine = machine }

    @inlinable
    public override func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        try machine.applyRun(entries, version: &version, replies: &replies, effects: &effects)
    }

    public override func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) {
        var reader = WireReader(query)
        let question = try Machine.Query(from: &reader)
        machine.answer(question, at: context).encode(into: &buffer)
    }

    public override var overview: [NamedValue] { machine.overview }
}
