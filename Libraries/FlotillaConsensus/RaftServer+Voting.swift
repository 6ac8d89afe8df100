import FlotillaWire

// Answering those who campaign (section 5.4.1; Ongaro 2014, sections 4.2.3 and 9.6).
extension RaftServer {
    mutating func receive(_ request: VoteRequest, from sender: ServerUID, now: Instant, actions: inout Actions) {
        let isMember = position(of: sender) != nil
        // Whoever was added campaigns only once its log says so: it has more than what is committed without it.
        let knowsMore = request.lastIndex <= commitIndex
        guard isMember || !answerStranger(sender, knowsMore: knowsMore, actions: &actions) else { return }
        if role == .follower, leader == sender, request.term > term {
            // Whoever leads a term does not campaign for a later one before it has stepped down.
            loseLeader(settings.electionDelay, now: now, actions: &actions)
        }
        guard !isLoyal(against: request) else {
            refuse(request, from: sender, actions: &actions)
            // Whoever campaigns does not hear this leader, or has a later term that this leader must learn of.
            if role == .leader { requestProbe(of: sender) }
            return
        }
        if request.kind == .preVote {
            guard wouldVote(request, for: sender) else { return refuse(request, from: sender, actions: &actions) }
            reply(to: request, granted: true, term: request.term, sender: sender, actions: &actions)
        } else {
            vote(request, for: sender, now: now, actions: &actions)
        }
    }

    /// Deals with the request of a server that is no member, where the usual rules do not hold: a leader ignores it,
    /// and so it can't be deposed by a server that was removed. Where the committed configuration does not name the
    /// sender either, it is told, by a server that knows of a leader and so is not itself behind for long, or that was
    /// removed itself and may be the only one that the sender asks, or that knows more to be committed than the sender has
    /// at all: who was removed never comes back under its identity.
    ///
    /// - Parameter knowsMore: whether the sender has nothing beyond what is committed here.
    /// - Returns: whether that was all that the request gets.
    mutating func answerStranger(_ sender: ServerUID, knowsMore: Bool = false, actions: inout Actions) -> Bool {
        guard role == .leader || isLeaderHeard || isRemoved || knowsMore else { return false }
        if committedConfiguration.member(sender) == nil {
            actions.append(.send(.removed(Removed(term: term, committedIndex: commitIndex)), to: sender))
            return true
        }
        return role == .leader
    }

    /// Whether a leader is heard and so nobody else is helped to an election, except one that the leader asked for.
    private func isLoyal(against request: VoteRequest) -> Bool {
        let hearsLeader: Bool
        switch role {
        case .leader: hearsLeader = request.kind == .preVote || quorumDeadline == nil
        case .follower: hearsLeader = isLeaderHeard
        case .preCandidate, .candidate: hearsLeader = false
        }
        return hearsLeader && !(request.kind == .transfer && request.term == term.next)
    }

    /// Whether the log that a request describes is at least as far as this one: the later last term, or the same and
    /// no shorter log. It makes sure that whoever is elected has all that is committed.
    private func isUpToDate(_ request: VoteRequest) -> Bool {
        (request.lastTerm, request.lastIndex) >= (lastTerm, lastIndex)
    }

    private func wouldVote(_ request: VoteRequest, for sender: ServerUID) -> Bool {
        let isFree =
            request.term > term || (request.term == term && (hardState.vote == nil || hardState.vote == sender))
        return isFree && isUpToDate(request)
    }

    /// Votes, or not. Whoever votes goes back to waiting, so that whom it elects has the time to win.
    private mutating func vote(_ request: VoteRequest, for sender: ServerUID, now: Instant, actions: inout Actions) {
        let isGranted = wouldVote(request, for: sender)
        if request.term > term {
            becomeFollower(in: request.term, vote: isGranted ? sender : nil, now: now, actions: &actions)
        } else if isGranted {
            setHardState(HardState(term: term, vote: sender), actions: &actions)
            becomeFollower(in: term, leader: leader, now: now, actions: &actions)
        }
        guard isGranted else { return refuse(request, from: sender, actions: &actions) }
        if durableHardState == hardState {
            reply(to: request, granted: true, term: term, sender: sender, actions: &actions)
        } else {
            pendingVote = (VoteReply(kind: request.kind, term: term, granted: true), sender)
        }
    }

    private func refuse(_ request: VoteRequest, from sender: ServerUID, actions: inout Actions) {
        reply(to: request, granted: false, term: term, sender: sender, actions: &actions)
    }

    private func reply(
        to request: VoteRequest, granted: Bool, term: Term, sender: ServerUID, actions: inout Actions
    ) {
        actions.append(.send(.voteReply(VoteReply(kind: request.kind, term: term, granted: granted)), to: sender))
    }
}
