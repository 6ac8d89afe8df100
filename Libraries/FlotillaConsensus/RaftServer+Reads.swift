import FlotillaWire

// Consistent queries without an entry in the log (read index: Ongaro 2014, section 6.4).
extension RaftServer {
    mutating func read(token: UInt64, actions: inout Actions) {
        if role == .leader {
            addRead(.local(token: token))
        } else if let leader {
            let request = ReadIndexRequest(term: term, id: forwardedReads.add(token: token))
            actions.append(.send(.readIndexRequest(request), to: leader))
        } else {
            actions.append(.readLost(token: token))
        }
    }

    /// The query must see all that is committed now. What that is, a new leader knows only when the noop of its term
    /// is committed, so no query is answered before that.
    private mutating func addRead(_ origin: ReadRounds.Origin) {
        reads.add(origin, index: max(commitIndex, noopIndex))
        needsFlush = true
    }

    mutating func receive(_ request: ReadIndexRequest, from sender: ServerUID, now: Instant, actions: inout Actions) {
        _ = yield(to: request.term, from: sender, now: now, actions: &actions)
        guard role == .leader else {
            let reply = ReadIndexReply(term: term, id: request.id, index: nil)
            return actions.append(.send(.readIndexReply(reply), to: sender))
        }
        addRead(.follower(sender, id: request.id))
    }

    mutating func receive(_ reply: ReadIndexReply, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard role == .follower, leader == sender, let token = forwardedReads.take(id: reply.id) else { return }
        if let index = reply.index, reply.term == term {
            actions.append(.readReady(token: token, index: index))
        } else {
            actions.append(.readLost(token: token))
        }
    }

    /// Leader: sends a round for all queries that have come, unless one is out; its answers may have been on their way
    /// before the latest of them came, so those wait for the next.
    mutating func startReadRound(now: Instant, actions: inout Actions) {
        guard !reads.isOut, !reads.waiting.isEmpty else { return }
        reads.start(now: now)
        guard !finishReadRound(actions: &actions) else { return }
        for position in peers.indices { repeatReadRound(to: position, actions: &actions) }
    }

    /// Leader: when to ask again who has not answered the round; `nil` when there is nobody to ask.
    var readRoundDeadline: Instant? {
        let isOpen = reads.isOut && peers.contains { $0.isVoter && $0.isUp && !reads.answered.contains($0.uid) }
        return isOpen ? reads.sentAt + settings.electionTimeout : nil
    }

    /// Leader: asks again who has not answered.
    mutating func repeatReadRound(now: Instant, actions: inout Actions) {
        reads.sentAt = now
        for position in peers.indices { repeatReadRound(to: position, actions: &actions) }
    }

    /// Leader: sends the round that is out, if one is, to a voter that has not answered it.
    func repeatReadRound(to position: Int, actions: inout Actions) {
        let peer = peers[position]
        guard reads.isOut, peer.isVoter, peer.isUp, !reads.answered.contains(peer.uid) else { return }
        actions.append(.send(.readRound(ReadRound(term: term, round: reads.number)), to: peer.uid))
    }

    mutating func receive(_ round: ReadRound, from sender: ServerUID, now: Instant, actions: inout Actions) {
        if round.term >= term {
            guard hearLeader(sender, in: round.term, now: now, actions: &actions) else { return }
        }
        let reply = ReadRound(term: term, round: round.round)
        actions.append(.send(.readRoundReply(reply), to: sender))
    }

    mutating func receiveReply(_ reply: ReadRound, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard !yield(to: reply.term, from: sender, now: now, actions: &actions) else { return }
        guard role == .leader, reply.term == term, let position = position(of: sender) else { return }
        peers[position].isHeard = peers[position].isUp
        guard reads.answer(from: sender, round: reply.round) else { return }
        _ = finishReadRound(actions: &actions)
    }

    /// Ends the round that is out when a majority of the voters has answered it.
    mutating func finishReadRound(actions: inout Actions) -> Bool {
        let votes = peers.reduce(isVoter ? 1 : 0) { $0 + ($1.isVoter && reads.answered.contains($1.uid) ? 1 : 0) }
        guard votes >= Quorum.size(voters: voterCount) else { return false }
        for read in reads.finish() {
            switch read.origin {
            case .local(let token): actions.append(.readReady(token: token, index: read.index))
            case .follower(let server, let id):
                let reply = ReadIndexReply(term: term, id: id, index: read.index)
                actions.append(.send(.readIndexReply(reply), to: server))
            }
        }
        if !reads.waiting.isEmpty { needsFlush = true }
        return true
    }
}
