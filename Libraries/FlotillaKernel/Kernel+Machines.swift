import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// What machines are told beside the log: what their servers become, that time passes, and what is said to members' own
/// parts.
extension Kernel {
    // MARK: Roles

    /// Notes that a machine is to be told of a role.
    func enter(_ role: MachineRole, _ server: HostedServer) {
        server.watch.roles.append(role)
        markDirty(server)
    }

    /// Tells the machine what its server has become, once its state is that from before the last restart: what it wants
    /// done follows from its state.
    func tellRoles(of server: HostedServer) {
        guard !server.watch.roles.isEmpty, server.failure == nil, !server.storage.isRestoring,
            server.applied >= server.replayedThrough
        else { return }
        let roles = server.watch.roles
        server.watch.roles.removeAll()
        for role in roles {
            var effects = Effects()
            server.machine.entered(role, effects: &effects)
            issue(effects, of: server)
        }
    }

    /// The cluster of a server has ended. Its machine has no say in that, but is told before anything of its state is
    /// let go: the last that it hears.
    func tellEndOfLife(of server: HostedServer) {
        guard server.failure == nil else { return }
        tellRoles(of: server)
        var effects = Effects()
        server.machine.entered(.endOfLife, effects: &effects)
        issue(effects, of: server)
    }

    /// A snapshot of another member has taken the place of the machine's state.
    func tellInstalled(_ server: HostedServer, replacing old: HostedMachine) {
        server.watch.endsSeen = nil
        var effects = Effects()
        server.machine.installed(at: server.applied, replacing: old, effects: &effects)
        issue(effects, of: server)
        enter(.follower, server)
    }

    // MARK: Time

    /// Tells machines that a second has passed.
    func tickMachines() {
        for case let server? in servers where server.failure == nil && !server.storage.isRestoring {
            if server.machine.hasAux { tellAux(.tick, of: server) }
            guard server.core.role == .leader, server.core.readyToServe else { continue }
            raiseVersion(of: server)
            var effects = Effects()
            server.machine.tick(at: LeaderTime(nanosecondsSince1970: wallClock), effects: &effects)
            issue(effects, of: server)
        }
    }

    // MARK: Members' own parts

    /// Tells a member's own part something that nobody waits for.
    func tellAux(_ event: RawAuxEvent, of server: HostedServer) {
        var effects = Effects()
        do throws(WireError) {
            _ = try server.machine.tellAux(event, at: auxContext(of: server), effects: &effects)
        } catch {
            output.events.append(
                .effectDropped(server.creation.id, reason: "its own part can't read what it is told: \(error)"))
        }
        issue(effects, of: server)
    }

    /// A client asks a member's own part something.
    func answerAux(_ command: ByteBuffer, waits: Bool, of server: HostedServer) -> ClientResponse {
        if let failure = server.failure { return .error(halted(server, failure)) }
        server.counters.auxCommands += 1
        guard waits else {
            tellAux(.cast(command), of: server)
            return .done
        }
        var effects = Effects()
        do throws(WireError) {
            let reply = try server.machine.tellAux(.call(command), at: auxContext(of: server), effects: &effects)
            issue(effects, of: server)
            if let reply { return .auxReply(reply) }
            return .error(FlotillaError(.unsupported, "the machine of \(server.creation.id) answers no such command"))
        } catch {
            return .error(FlotillaError(.malformed, "the machine of \(server.creation.id) can't read this command"))
        }
    }

    private func auxContext(of server: HostedServer) -> AuxContext {
        AuxContext(
            role: MachineRole(server.core.role), index: server.applied, term: server.appliedTerm,
            leader: server.name(of: server.core.leader), machineVersion: server.machineVersion)
    }
}

extension MachineRole {
    /// What a machine is told of a role of the consensus.
    init(_ role: Role) {
        switch role {
        case .follower: self = .follower
        case .preCandidate: self = .preCandidate
        case .candidate: self = .candidate
        case .leader: self = .leader
        }
    }
}
