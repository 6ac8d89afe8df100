import FlotillaWire

// Snapshots in place of entries that are in no log any more (section 7). The snapshots themselves are the caller's.
extension RaftServer {
    /// Follower: a snapshot is offered. Whoever offers one leads the term that it names. What is committed here is the
    /// same in the leader's log, so a log that reaches as far needs no snapshot.
    mutating func receive(_ offer: InstallSnapshot, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard offer.term >= term else {
            let reply = AppendReply(term: term, outcome: .stale)
            return actions.append(.send(.appendReply(reply), to: sender))
        }
        guard offer.index <= Self.highestIndex, offer.indexTerm <= offer.term, offer.index > .zero,
            hearLeader(sender, in: offer.term, now: now, actions: &actions)
        else { return }
        guard offer.index > commitIndex else {
            verified = max(verified, commitIndex)
            return acknowledge(force: true, actions: &actions)
        }
        actions.append(.wantSnapshot(index: offer.index, term: offer.indexTerm, from: sender))
    }

    /// A snapshot is durable here. It covers committed entries only. Where the log has its last entry, what follows
    /// that stays; any other log is superseded whole (figure 13).
    mutating func install(
        index: LogIndex, term indexTerm: Term,
        configuration: (index: LogIndex, configuration: ClusterConfiguration), now: Instant, actions: inout Actions
    ) {
        guard index > commitIndex else { return }
        if logTerms.term(at: index) == indexTerm {
            durableLog.cover(through: index)
        } else {
            precondition(role != .leader, "a snapshot of what is not in the leader's log: \(self)")
            durableLog.reset(to: index)
            logTerms = LogTerms(baseIndex: index, baseTerm: indexTerm)
            configurations = ConfigurationHistory([configuration], commitIndex: index)
            acknowledged = min(acknowledged, index)
            // The end of a cluster is in no snapshot.
            endIndex = nil
            actions.append(.resetLog(after: index, epoch: logEpoch))
        }
        advanceCommit(to: index)
        logTerms.compact(through: index)
        // What is committed is in the log of whoever leads.
        verified = max(verified, index)
        adoptConfiguration(now: now)
        acknowledge(force: true, actions: &actions)
    }

    /// The entries through an index are in a durable snapshot of this server.
    mutating func compact(through index: LogIndex) {
        precondition(index <= commitIndex, "a snapshot through \(index) of what is not committed: \(self)")
        logTerms.compact(through: index)
        durableLog.cover(through: index)
    }

    /// Leader: a member is not being sent a snapshot any more; it is asked once more where its log ends.
    mutating func snapshotEnded(_ uid: ServerUID) {
        guard role == .leader, let position = position(of: uid), peers[position].progress.state == .snapshot else {
            return
        }
        peers[position].progress.reset()
        needsFlush = true
    }
}
