import FlotillaWire
import NIOCore

/// Makes a machine of the pieces of a snapshot, on any thread, and hands it over once it is whole. Each call must have
/// ended before the next begins.
///
/// Unchecked, because its calls follow one another, and nobody else refers to the machine before it is handed over.
public final class MachineRestorer: @unchecked Sendable {
    /// `nil` once the machine was handed over or a piece was refused.
    private var machine: HostedMachine?

    /// Restores into a machine in its first state, which nobody else refers to.
    public init(_ machine: sending HostedMachine) { self.machine = machine }

    /// Takes the next piece of the snapshot.
    ///
    /// - Throws: `WireError` when the machine refuses it, and for every call after that.
    public func restore(_ piece: ByteBuffer) throws(WireError) {
        let restored = try take()
        try restored.restore(piece)
        machine = restored
    }

    /// Takes the next piece of the snapshot with sessions.
    ///
    /// - Throws: `WireError` when it is refused, and for every call after that.
    public func restoreSessions(_ piece: ByteBuffer) throws(WireError) {
        let restored = try take()
        try restored.restoreSessions(piece)
        machine = restored
    }

    /// Hands the machine over.
    ///
    /// - Throws: `WireError` when pieces are missing or one was refused, and when it was called before.
    public func finish() throws(WireError) -> sending HostedMachine {
        let restored = try take()
        try restored.finishRestore()
        return restored
    }

    private func take() throws(WireError) -> sending HostedMachine {
        guard let taken = machine else {
            throw WireError(.malformed, "the machine was refused or handed over before")
        }
        machine = nil
        // Safe, because no reference is left here.
        nonisolated(unsafe) let free = taken
        return free
    }
}
