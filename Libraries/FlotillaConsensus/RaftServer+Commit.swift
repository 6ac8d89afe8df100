import FlotillaWire

extension RaftServer {
    /// More of the log is durable: a follower acknowledges it, a leader counts itself.
    mutating func entriesDurable(epoch: LogEpoch, through: LogIndex, actions: inout Actions) {
        precondition(epoch != logEpoch || through <= lastIndex, "durable through \(through), behind \(self)")
        guard durableLog.confirm(epoch: epoch, through: through) else { return }
        if role == .leader {
            countCommitted(actions: &actions)
        } else {
            acknowledge(force: false, actions: &actions)
        }
    }

    /// Commits what a majority of the voters has durably, if it is of this leader's term: an entry of an earlier term
    /// could still be overwritten though a majority has it (section 5.4.2 and figure 8).
    ///
    /// The leader is one voter among the others and counts with what is durable here, so an entry may be committed
    /// that is durable on a majority but not here yet.
    mutating func countCommitted(actions: inout Actions) {
        matches.removeAll(keepingCapacity: true)
        if isVoter { matches.append(durableIndex) }
        for peer in peers where peer.isVoter { matches.append(peer.progress.match) }
        let reached = Quorum.reached(&matches)
        guard reached > commitIndex, logTerms.term(at: reached) == term else { return }
        advanceCommit(to: reached)
        needsFlush = true
    }

    /// Raises the commit index; it never falls.
    mutating func advanceCommit(to index: LogIndex) {
        guard index > commitIndex else { return }
        precondition(index <= lastIndex, "commit \(index) behind the end of \(self)")
        commitIndex = index
        if configurations.forget(before: index) { noteStanding() }
    }
}
