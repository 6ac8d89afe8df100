import FlotillaMachine
import FlotillaWire
import NIOCore

/// Stands in for the machine of a server that this program has no machine for, or whose machine refuses its
/// configuration. Its server is halted from the start, so nothing is ever applied to it.
final class AbsentMachine: HostedMachine {
    override func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead? {
        throw WireError(.malformed, "there is no machine that could read it")
    }
}
