import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire

/// What operators do to a fleet, and what they must not do.
extension World {
    /// Whether every cluster can do without a computer's disk: a majority of its voters is on disks that are neither
    /// damaged nor lost, and no change of the voters is under way. While one is, a member that is not a voter yet may
    /// have the longest log of those that are left, and whoever counts it as a voter can't be elected without it.
    func mayLose(_ computer: Computer) -> Bool {
        guard hasStartedAll else { return false }
        let work = plan.options.clusters.indices.map { configurations(of: $0) }
        // Those that are to be deleted may not be there yet.
        let doomed = demolisher.names.map { checker.configurations(of: $0) }.filter { !$0.isEmpty }
        return (work + doomed).allSatisfy { known in
            Set(known.map { Set($0.voters.map(\.uid)) }).count == 1
                && known.allSatisfy { hasGoodMajority($0, without: computer.number) }
        }
    }

    /// Every configuration that some server of a cluster goes by or may return to, also on nodes that are down. A
    /// cluster of which nothing is known has none that has a majority, and so nothing may be lost.
    private func configurations(of cluster: Int) -> [ClusterConfiguration] {
        let known = checker.configurations(of: clusterNames[cluster])
        return known.isEmpty ? [ClusterConfiguration(members: [])] : known
    }

    /// Whether a majority of the voters is on good disks, also when members on bad ones are made voters before any
    /// other is: a node may live for a while with a disk that it can't be started on again.
    func hasGoodMajority(
        _ configuration: ClusterConfiguration, without lost: Int? = nil, plusDeadVoters: Int = 0
    ) -> Bool {
        let voters = configuration.voters
        let promotable = configuration.members.filter { $0.role != .nonVoter && !$0.isVoter }
        let good = voters.count { isOnGoodDisk($0, without: lost) }
        let bad = promotable.count { !isOnGoodDisk($0, without: lost) }
        return good > (voters.count + bad + plusDeadVoters) / 2
    }

    private func isOnGoodDisk(_ member: Member, without lost: Int?) -> Bool {
        computers.contains { computer in
            computer.name == member.id.node && computer.number != lost && !computer.isDamaged
                && computer.hosts(member.nodeID)
        }
    }

    func transfer(_ cluster: Int, to host: Int) -> String? {
        guard let leader = leader(of: cluster), let process = computers[leader.host].serving,
            let member = leader.server.core.configuration.members.first(where: { $0.id.node == computers[host].name })
        else { return nil }
        _ = process.act { $0.transferLeadership(of: leader.server, to: member.uid) }
        return "from n\(leader.host + 1)"
    }

    func triggerElection(of cluster: Int, on host: Int) -> String? {
        guard let process = computers[host].serving,
            let server = servers(of: cluster).first(where: { $0.host == host })?.server
        else { return nil }
        _ = process.act { $0.triggerElection(of: server) }
        return ""
    }
}
// MARK: - Members

extension World {
    func addMember(to cluster: Int, on host: Int, _ role: MemberRole) -> String? {
        guard let leader = leader(of: cluster), let process = computers[leader.host].serving, !computers[host].isDamaged
        else { return nil }
        // Whoever votes there now would not any more in another role.
        var after = leader.server.core.configuration
        after.members.removeAll { $0.id.node == computers[host].name }
        guard hasGoodMajority(after) else { return nil }
        var role = role
        // A voter counts from the start; that is asked for only where it may turn out to be dead.
        if role == .voter, !hasGoodMajority(leader.server.core.configuration, plusDeadVoters: 1) {
            role = .promotable(target: .zero)
        }
        let name = leader.server.creation.clusterName
        return process.act { $0.addMember(to: name, on: computers[host].name, role: role) }.map { result in
            switch result {
            case .success(let added): "by n\(leader.host + 1) at \(added.index)"
            case .failure(let error): "refused by n\(leader.host + 1): \(error.code)"
            }
        }
    }

    func removeMember(from cluster: Int, on host: Int) -> String? {
        guard let leader = leader(of: cluster), let process = computers[leader.host].serving,
            let member = leader.server.core.configuration.members.first(where: { $0.id.node == computers[host].name })
        else { return nil }
        var after = leader.server.core.configuration
        after.members.removeAll { $0.uid == member.uid }
        guard hasGoodMajority(after) else { return nil }
        let name = leader.server.creation.clusterName
        return process.act { $0.removeMember(member.id, from: name) }.map { result in
            switch result {
            case .success(let index): "by n\(leader.host + 1) at \(index)"
            case .failure(let error): "refused by n\(leader.host + 1): \(error.code)"
            }
        }
    }
}
