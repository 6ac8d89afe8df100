import FlotillaConsensus
import FlotillaKernel
import FlotillaWire

/// Holds answers to queries against the rules by which they come about, which are stricter than what histories show:
/// an answer that was given too easily is right most of the time.
extension Checker {
    /// A message about a read round is about to leave.
    func hearRound(_ message: ConsensusMessage, _ address: ConsensusAddress, on host: Int) throws(Violation) {
        switch message {
        case .readRound(let round):
            let servers = world.computers[host].serving?.kernel?.hostedServers ?? []
            guard let leader = servers.first(where: { $0.uid == address.sender }) else { return }
            confirmations.asked(
                round, from: address.sender, of: address.cluster, by: leader.core.configuration,
                at: world.scheduler.now)
        case .readRoundReply(let round):
            if let promised = promises.term(of: address.sender), promised > round.term {
                throw Violation(
                    .promise, "n\(host + 1) confirms a leader of term \(round.term) after a promise in term \(promised)"
                )
            }
            confirmations.confirmed(round, by: address.sender, to: address.target, of: address.cluster)
        default: break
        }
    }

    /// A consistent query was answered. It must have seen whatever anybody knew to be committed when it was asked, and
    /// a majority must have confirmed some leader in a round that began after that.
    func answered(_ attempt: Attempt, at index: LogIndex, cluster: ClusterID) {
        if let before = attempt.committedBefore, before.cluster == cluster, index < before.index {
            world.fail(
                .linearizability,
                "\(attempt.work) is answered as of entry \(index), but \(before.index) was committed when it was asked")
        }
        // Also those of nodes that have gone down since: the answer may have been on its way.
        let name = world.clusterNames[attempt.cluster]
        let configurations = configurations(of: name)
        // A voter that is alone asks nobody, and what it said may have been on its way for long.
        guard configurations.allSatisfy({ $0.voters.count > 1 }), lastAlone[name] ?? 0 < attempt.invoked,
            !confirmations.isConfirmed(cluster, since: attempt.invoked, others: configurations)
        else { return }
        world.fail(.linearizability, "\(attempt.work) is answered though no majority has confirmed a leader since")
    }
}
