import FlotillaWire

// Campaigning: pre-vote, vote, and the counting of both (section 5.2; Ongaro 2014, section 9.6).
extension RaftServer {
    /// Whether it may campaign: it votes and was not told that it was removed. A server whose vote was taken by a
    /// configuration that may not be committed yet still campaigns, without counting itself: it may be the only one that
    /// has this configuration, and then nobody without it is elected (Ongaro 2014, section 4.2.2 and figure 4.6).
    var canCampaign: Bool {
        guard removedAt == nil else { return false }
        return isVoter || (configurationIndex > commitIndex && committedConfiguration.isVoter(uid))
    }

    /// Whether the leader that this server follows has no vote by the latest configuration: it may step down without
    /// this server hearing of it, for it is not a member then whose node this server's node knows.
    var isLeaderLeaving: Bool {
        guard let leader, role != .leader else { return false }
        return !peers.contains { $0.uid == leader && $0.isVoter }
    }

    /// Follower: its leader was just heard, so that there is nothing to wait for, unless the leader is about to leave.
    mutating func restElectionTimer(now: Instant) {
        if isLeaderLeaving { armElectionTimer(settings.electionDelay, now: now) } else { electionDeadline = nil }
    }

    /// Waits a random time from `range` before it campaigns, if it may campaign at all.
    mutating func armElectionTimer(_ range: ClosedRange<Duration>, now: Instant) {
        electionDeadline = canCampaign ? now + random.duration(in: range) : nil
    }

    /// Campaigns because the operator wants it; a server that leads or campaigns already, or may not, goes on as it is.
    mutating func triggerElection(now: Instant, actions: inout Actions) {
        guard role == .follower, canCampaign, !isUnfitToLead else { return }
        becomePreCandidate(now: now, actions: &actions)
    }

    /// While nothing becomes durable here, or what is on disk can't be read, nobody is asked for a vote: a term that this
    /// server raised could not be won, or would be won for nothing, and a leader that hears of it would step down. It
    /// goes on waiting, and campaigns as soon as it can if there is still no leader then.
    mutating func unfitToLead(_ isUnfit: Bool, now: Instant, actions: inout Actions) {
        isUnfitToLead = isUnfit
        if isUnfit, role == .preCandidate { becomeFollower(in: term, now: now, actions: &actions) }
    }

    /// The election timer has run out.
    mutating func electionTimeout(now: Instant, actions: inout Actions) {
        guard canCampaign else {
            electionDeadline = nil
            return
        }
        if isUnfitToLead || (role == .candidate && durableHardState != hardState) {
            // A new term would need a record on a disk that is slow, or does nothing, and be no faster.
            armElectionTimer(settings.electionDelay, now: now)
        } else {
            becomePreCandidate(now: now, actions: &actions)
        }
    }

    /// Asks whether it would be elected, before it raises its term: so a server that is cut off, or whose log is
    /// behind, does not drive the terms up and depose a leader that the others hear.
    private mutating func becomePreCandidate(now: Instant, actions: inout Actions) {
        isLeaderHeard = false
        set(role: .preCandidate, leader: nil, termBefore: term, actions: &actions)
        for position in peers.indices { peers[position].hasGranted = false }
        armElectionTimer(settings.electionDelay, now: now)
        guard !hasWon else { return becomeCandidate(kind: .vote, now: now, actions: &actions) }
        requestVotes(now: now, actions: &actions)
    }

    /// Raises the term and votes for itself; it asks for votes only when that is durable.
    mutating func becomeCandidate(kind: VoteRequest.Kind, now: Instant, actions: inout Actions) {
        let termBefore = term
        isLeaderHeard = false
        verified = .zero
        acknowledged = .zero
        isReplyOwed = false
        pendingVote = nil
        campaignKind = kind
        for position in peers.indices { peers[position].hasGranted = false }
        setHardState(HardState(term: term.next, vote: uid), actions: &actions)
        set(role: .candidate, leader: nil, termBefore: termBefore, actions: &actions)
        armElectionTimer(settings.electionDelay, now: now)
    }

    /// A record of term and vote is durable: whatever waited for it may be said now.
    mutating func hardStateDurable(_ state: HardState, now: Instant, actions: inout Actions) {
        precondition(
            state.term < term || (state.term == term && (state.vote == nil || state == hardState)),
            "a durable record \(state) that was never written by \(self)")
        let isLater =
            state.term > durableHardState.term || (state.term == durableHardState.term && durableHardState.vote == nil)
        guard isLater, state != durableHardState else { return }
        durableHardState = state
        if durableHardState.term == term { acknowledge(force: isReplyOwed, actions: &actions) }
        guard durableHardState == hardState else { return }
        if let pendingVote {
            self.pendingVote = nil
            actions.append(.send(.voteReply(pendingVote.reply), to: pendingVote.to))
        }
        guard role == .candidate else { return }
        guard !hasWon else { return becomeLeader(now: now, actions: &actions) }
        requestVotes(now: now, actions: &actions)
    }

    /// Asks all voters that have not granted what this server campaigns for, and plans to do so again.
    mutating func requestVotes(now: Instant, actions: inout Actions) {
        voteRepetition = now + settings.electionTimeout / 4
        for peer in peers where peer.isVoter && !peer.hasGranted { requestVote(from: peer.uid, actions: &actions) }
    }

    /// Asks one voter for what this server campaigns for, unless its own record is not durable yet.
    mutating func requestVote(from peer: ServerUID, actions: inout Actions) {
        let request: VoteRequest
        switch role {
        case .preCandidate:
            request = VoteRequest(kind: .preVote, term: term.next, lastIndex: lastIndex, lastTerm: lastTerm)
        case .candidate where durableHardState == hardState:
            request = VoteRequest(kind: campaignKind, term: term, lastIndex: lastIndex, lastTerm: lastTerm)
        case .candidate, .follower, .leader: return
        }
        actions.append(.send(.voteRequest(request), to: peer))
    }

    /// Whether a majority of the voters, itself included where it votes, has granted what it asks for.
    private var hasWon: Bool {
        let granted = peers.reduce(isVoter ? 1 : 0) { $0 + ($1.isVoter && $1.hasGranted ? 1 : 0) }
        return granted >= Quorum.size(voters: voterCount)
    }

    mutating func receive(_ reply: VoteReply, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard reply.granted else {
            _ = yield(to: reply.term, from: sender, now: now, actions: &actions)
            return
        }
        guard let position = position(of: sender), isAnswer(reply) else { return }
        peers[position].hasGranted = true
        guard hasWon else { return }
        if role == .preCandidate {
            becomeCandidate(kind: .vote, now: now, actions: &actions)
        } else {
            becomeLeader(now: now, actions: &actions)
        }
    }

    /// Whether a granted reply answers what this server asks for now, not what it asked for in an earlier campaign.
    private func isAnswer(_ reply: VoteReply) -> Bool {
        switch role {
        case .preCandidate: reply.kind == .preVote && reply.term == term.next
        case .candidate: reply.kind == campaignKind && reply.term == term && durableHardState == hardState
        case .follower, .leader: false
        }
    }

    mutating func receive(_ message: TimeoutNow, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard message.term == term, role == .follower, leader == sender, canCampaign, !isUnfitToLead else { return }
        becomeCandidate(kind: .transfer, now: now, actions: &actions)
    }

    /// It was told that by what is committed through some index it is no member any more. Where its own log names it only
    /// behind that index, the sender may be behind; where it names it there, that part of its log is overwritten in the
    /// others', or a configuration came after it that this server was never sent.
    mutating func receive(_ notice: Removed, now: Instant, actions: inout Actions) {
        let index = notice.committedIndex
        guard role != .leader, hasBeenMember, index > commitIndex else { return }
        guard index >= configurationIndex || configurations.committed(at: index).configuration.member(uid) != nil
        else { return }
        removedAt = index
        becomeFollower(in: term, now: now, actions: &actions)
    }
}
