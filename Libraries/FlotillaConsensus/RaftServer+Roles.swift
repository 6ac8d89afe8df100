import FlotillaWire

// How a server changes term and role. All changes go through here, so that none forgets what else must change.
extension RaftServer {
    /// Sets term and vote and has them written. A term never falls, and a vote within a term never changes.
    mutating func setHardState(_ state: HardState, actions: inout Actions) {
        guard state != hardState else { return }
        precondition(
            state.term > hardState.term || (state.term == hardState.term && hardState.vote == nil),
            "term and vote \(state) behind \(self)")
        hardState = state
        actions.append(.persistHardState(state))
    }

    /// Sets role and leader and tells of it where they, or the term, are other ones than before.
    mutating func set(role newRole: Role, leader newLeader: ServerUID?, termBefore: Term, actions: inout Actions) {
        if role != newRole {
            role = newRole
            actions.append(.roleChanged(newRole))
        }
        guard leader != newLeader || termBefore != term else { return }
        leader = newLeader
        forwardedReads.loseAll(actions: &actions)
        actions.append(.leaderChanged(newLeader, term: term))
        if let newLeader { noteLeaderForTransfer(newLeader, actions: &actions) }
    }

    /// Becomes, or stays, a follower in `newTerm`, which is its own term or a later one.
    ///
    /// - Parameters:
    ///   - vote: the vote that is given in a later term, if any.
    ///   - newLeader: who leads that term, when it is known.
    mutating func becomeFollower(
        in newTerm: Term, vote: ServerUID? = nil, leader newLeader: ServerUID? = nil, now: Instant,
        actions: inout Actions
    ) {
        let termBefore = term
        precondition(newTerm >= termBefore, "term \(newTerm) behind \(self)")
        if role == .leader { leaveLeadership(actions: &actions) }
        if newTerm > termBefore {
            setHardState(HardState(term: newTerm, vote: vote), actions: &actions)
            verified = .zero
            acknowledged = .zero
            isReplyOwed = false
            pendingVote = nil
        }
        set(role: .follower, leader: newLeader, termBefore: termBefore, actions: &actions)
        isLeaderHeard = newLeader != nil
        if isLeaderHeard {
            restElectionTimer(now: now)
        } else {
            armElectionTimer(settings.electionDelay, now: now)
        }
    }

    /// Takes a server as the leader of this term because it was just heard as that.
    ///
    /// - Returns: false when it can't be: this server leads the term itself, or knows another leader of it. Two leaders
    ///   of one term can't be by the rules of the algorithm, so such a message is wrong and nothing of it is believed.
    mutating func hearLeader(_ sender: ServerUID, in leaderTerm: Term, now: Instant, actions: inout Actions) -> Bool {
        if leaderTerm == term, role == .follower, leader == sender {
            isLeaderHeard = true
            restElectionTimer(now: now)
            return true
        }
        guard leaderTerm > term || (role != .leader && leader == nil) else { return false }
        becomeFollower(in: leaderTerm, leader: sender, now: now, actions: &actions)
        return true
    }

    /// Steps down when a reply or a request names a later term.
    ///
    /// A leader believes only members: a server that was removed and does not know it must not depose it.
    ///
    /// - Returns: whether the term was later, so that there is nothing more to do with the message.
    mutating func yield(to laterTerm: Term, from sender: ServerUID, now: Instant, actions: inout Actions) -> Bool {
        guard laterTerm > term else { return false }
        if role != .leader || position(of: sender) != nil {
            becomeFollower(in: laterTerm, now: now, actions: &actions)
        }
        return true
    }

    /// Starts leading the term in which it was elected (section 5.2), with a noop of that term, since only by an entry
    /// of its own term may it count what is committed (section 5.4.2).
    mutating func becomeLeader(now: Instant, actions: inout Actions) {
        precondition(
            role == .candidate && hardState.vote == uid && durableHardState == hardState,
            "leadership without a durable vote for itself: \(self)")
        let termBefore = term
        electionDeadline = nil
        isLeaderHeard = false
        for position in peers.indices {
            peers[position].progress = Progress(next: lastIndex.next)
            peers[position].isHeard = peers[position].isUp && peers[position].hasGranted
        }
        reads = ReadRounds()
        quorumDeadline = nil
        set(role: .leader, leader: uid, termBefore: termBefore, actions: &actions)
        noopIndex = lastIndex.next
        logTerms.append(count: 1, term: term)
        actions.append(.appendNoop(index: noopIndex))
        needsFlush = true
    }

    /// Clears what only a leader has. Queries that wait for it are given back.
    private mutating func leaveLeadership(actions: inout Actions) {
        reads.loseAll(term: term, actions: &actions)
        quorumDeadline = nil
        needsFlush = false
        for position in peers.indices { peers[position].isHeard = false }
        abandonCatchingUp(actions: &actions)
    }
}
