import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// When the members of a cluster may decide that all of them may run another version of their machine.
public enum MachineUpgrade: String, Sendable, CaseIterable {
    /// When every member can run it, as far as their nodes have said: no member ever falls back.
    case all
    /// When the leader can run it: members that can't keep the log, and apply nothing until their nodes have the code.
    case quorum
}

/// Which version of its machine a cluster runs. It stands in the log, rises only, and is the same on all members.
extension Kernel {
    /// Tells another node which machines this one has.
    func tellMachines(to peer: Peer) {
        let machines = registry.names.compactMap { name in
            registry.versions(of: name).map {
                PeerMessage.Machine(name: name, lowest: $0.lowerBound, highest: $0.upperBound)
            }
        }
        var rest = machines[...]
        while !rest.isEmpty {
            send(.machines(Array(rest.prefix(Limits.machinesPerFrame))), to: peer)
            rest = rest.dropFirst(Limits.machinesPerFrame)
        }
    }

    func receive(_ machines: [PeerMessage.Machine], from peer: Peer) {
        guard peer.machines.count + machines.count <= Limits.machinesPerNode else { return }
        for machine in machines { peer.machines[machine.name] = machine.lowest...machine.highest }
    }

    /// The version that a cluster should run from here on, by what its leader knows; never less than it runs.
    func versionToRun(_ server: HostedServer) -> MachineVersion {
        let name = server.creation.machine
        guard let own = registry.versions(of: name) else { return server.machineVersion }
        var version = own.upperBound
        // What the leader can't run, it never says.
        let least = max(server.machineVersion, own.lowerBound)
        if configuration.machineUpgrade == .all {
            for member in server.core.configuration.members where member.uid != server.uid {
                // A node of which nothing is known since this one was started may be an old one.
                guard let highest = peersByID[member.nodeID]?.machines[name]?.upperBound else {
                    return least
                }
                version = min(version, highest)
            }
        }
        return max(version, least)
    }

    /// Has the cluster run a higher version once all members can: after a rolling upgrade nobody need be elected.
    func raiseVersion(of server: HostedServer) {
        guard server.core.role == .leader, server.core.readyToServe, server.core.transferTarget == nil,
            server.core.endIndex == nil, !server.core.isRetiring, server.applied >= server.versionProposedAt
        else { return }
        let version = versionToRun(server)
        guard version > server.machineVersion, case .success(let index) = server.core.propose(count: 1) else { return }
        server.versionProposedAt = index
        var body = ByteBuffer()
        body.writeLittle(version.rawValue)
        append(.noop, body: body, at: index, for: server)
        markDirty(server)
    }
}
