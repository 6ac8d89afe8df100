import FlotillaWire
import NIOCore
import Synchronization

/// Makes a machine of the pieces of a snapshot, on any thread, and hands it over once it is whole.
public final class MachineRestorer: Sendable {
    /// `nil` once the machine was handed over or a piece was refused.
    private let machine: Mutex<HostedMachine?>

    /// Restores into a machine in its first state, which nobody else refers to.
    public init(_ machine: sending HostedMachine) { self.machine = Mutex(machine) }

    /// Takes the next piece of the snapshot.
    ///
    /// - Throws: `WireError` when the machine refuses it, and for every call after that.
    public func restore(_ piece: ByteBuffer) throws(WireError) {
        try machine.withLock { machine throws(WireError) in
            guard let restored = machine else { throw Self.spent }
            machine = nil
            try restored.restore(piece)
            machine = restored
        }
    }

    /// Hands the machine over.
    ///
    /// - Throws: `WireError` when pieces are missing or one was refused, and when it was called before.
    public func finish() throws(WireError) -> sending HostedMachine {
        try machine.withLock { machine throws(WireError) in
            guard let restored = machine else { throw Self.spent }
            machine = nil
            try restored.finishRestore()
            return restored
        }
    }

    private static var spent: WireError { WireError(.malformed, "the machine was refused or handed over before") }
}
