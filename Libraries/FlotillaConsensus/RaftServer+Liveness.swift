import FlotillaWire

// Who is heard, without heartbeats of this cluster: nodes watch each other, and tell their servers.
extension RaftServer {
    mutating func peerUp(_ uid: ServerUID, now: Instant, actions: inout Actions) {
        if !upServers.contains(uid) { upServers.append(uid) }
        guard let position = position(of: uid) else { return }
        peers[position].isUp = true
        if role == .leader {
            peers[position].isHeard = false
            peers[position].progress.reset()
            needsFlush = true
            repeatReadRound(to: position, actions: &actions)
        } else if peers[position].isVoter {
            // What was asked of it before may have been lost.
            requestVote(from: uid, actions: &actions)
        }
    }

    mutating func peerDown(_ uid: ServerUID, now: Instant, actions: inout Actions) {
        upServers.removeAll { $0 == uid }
        if let position = position(of: uid) {
            peers[position].isUp = false
            peers[position].isHeard = false
            if role == .leader { peers[position].progress.reset() }
        }
        if role == .follower, leader == uid { loseLeader(settings.lostLeaderDelay, now: now, actions: &actions) }
    }

    /// The nodes compare notes about who leads, after each connection and when their notes differ. A leader asks who
    /// does not confirm it; a follower whose leader does not say the same waits for an election.
    mutating func peerState(
        _ uid: ServerUID, term peerTerm: Term, leader peerLeader: ServerUID?, now: Instant, actions: inout Actions
    ) {
        if position(of: uid) == nil, leader != uid, peerLeader != uid {
            // It believes that it is a member, and nobody sends it what would tell it otherwise.
            _ = answerStranger(uid, actions: &actions)
        } else if role == .leader {
            guard let position = position(of: uid) else { return }
            let isConfirmed = peerTerm == term && peerLeader == self.uid
            peers[position].isHeard = isConfirmed && peers[position].isUp
            if !isConfirmed { requestProbe(of: uid) }
        } else if peerTerm == term, peerLeader == uid {
            _ = hearLeader(uid, in: term, now: now, actions: &actions)
        } else if role == .follower, leader == uid {
            loseLeader(settings.electionDelay, now: now, actions: &actions)
        }
    }

    /// Follower: the leader that it knew is gone, or leads no more; it campaigns unless another is heard before.
    mutating func loseLeader(_ range: ClosedRange<Duration>, now: Instant, actions: inout Actions) {
        isLeaderHeard = false
        set(role: .follower, leader: nil, termBefore: term, actions: &actions)
        armElectionTimer(range, now: now)
    }

    /// Leader: asks a member for an answer with the next flush.
    mutating func requestProbe(of uid: ServerUID) {
        guard let position = position(of: uid), peers[position].isUp else { return }
        peers[position].progress.requestProbe()
        needsFlush = true
    }

    /// Leader: starts the time after which it steps down as soon as no majority is heard, and stops it when one is.
    mutating func watchQuorum(now: Instant) {
        guard role == .leader else { return }
        let heard = peers.reduce(isVoter ? 1 : 0) { $0 + ($1.isVoter && $1.isHeard ? 1 : 0) }
        if heard >= Quorum.size(voters: voterCount) {
            quorumDeadline = nil
        } else if quorumDeadline == nil {
            quorumDeadline = now + settings.electionTimeout
        }
    }
}
