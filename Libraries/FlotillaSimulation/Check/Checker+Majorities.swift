import FlotillaConsensus
import FlotillaWire

/// Holds what leaders do against what the others have told them. A leader without a majority behind it is found at
/// once, also where nothing comes of it because no other leads at the same time.
extension Checker {
    /// A server leads only with the votes of a majority.
    func checkElection(of core: RaftServer) throws(Violation) {
        let isElected = hasMajority(core) { voter in
            voter == core.uid
                ? core.hardState.vote == voter : promises.hasVoted(voter, for: core.uid, in: core.term)
        }
        guard !isElected else { return }
        throw Violation(.electionSafety, "no majority has voted for \(core)")
    }

    /// A leader commits by counting only what a majority has acknowledged to it, itself included where it is durable
    /// there, and only up to an entry of its own term (section 5.4.2).
    func checkCommit(by core: RaftServer) throws(Violation) {
        let index = core.commitIndex
        guard core.logTerms.term(at: index) == core.term else {
            throw Violation(.leaderCompleteness, "entry \(index) of an earlier term is committed by counting: \(core)")
        }
        let isHeld = hasMajority(core) { voter in
            voter == core.uid
                ? core.durableIndex >= index : promises.hasAcknowledged(voter, index, in: core.term)
        }
        guard !isHeld else { return }
        throw Violation(.committedIsFinal, "no majority has acknowledged entry \(index) to \(core)")
    }

    /// Whether something holds for a majority of the voters. A configuration that was changed since the last look may
    /// not have been in force yet, so the one before will do.
    private func hasMajority(_ core: RaftServer, _ holds: (ServerUID) -> Bool) -> Bool {
        [core.configuration, core.committedConfiguration].contains { configuration in
            let voters = configuration.voters
            return voters.count(where: { holds($0.uid) }) > voters.count / 2
        }
    }
}
