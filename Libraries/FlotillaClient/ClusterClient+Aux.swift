import FlotillaMachine
import FlotillaWire
import NIOCore

extension ClusterClient {
    /// Asks a member's own part of the machine something (`StateMachine.handle(_:aux:at:effects:)`).
    ///
    /// - Parameter node: the member's node; the leader's by default.
    /// - Throws: `FlotillaError` with `unsupported` when it replies nothing, `unknownMember`, and what keeps the member
    ///   from being reached. A request whose answer is lost is not repeated.
    public func askAux(
        _ command: Machine.AuxCommand, on node: NodeName? = nil, timeout: Duration? = nil
    ) async throws -> Machine.AuxReply {
        let response = try await send(command, on: node, waits: true, timeout)
        guard case .auxReply(let reply) = response else { throw response.unexpected }
        return try decode(reply, as: Machine.AuxReply.self, what: "the reply of the member's own part")
    }

    /// Tells a member's own part of the machine something, and waits only until it was told; otherwise as `askAux`.
    public func tellAux(
        _ command: Machine.AuxCommand, on node: NodeName? = nil, timeout: Duration? = nil
    ) async throws {
        let response = try await send(command, on: node, waits: false, timeout)
        guard case .done = response else { throw response.unexpected }
    }

    private func send(
        _ command: Machine.AuxCommand, on node: NodeName?, waits: Bool, _ timeout: Duration?
    ) async throws -> ClientResponse {
        let deadline = client.deadline(timeout)
        var bytes = ByteBuffer()
        command.encode(into: &bytes)
        let encoded = bytes
        guard let node else {
            return try await askLeader(deadline, once: true) { .auxCommand($0, encoded, waits: waits) }
        }
        let member = try await member(on: node, timeout: timeout)
        return try await client.send(.auxCommand(member.uid, encoded, waits: waits), to: member.address, deadline)
    }
}
