import FlotillaWire

extension RaftServer {
    /// Where among the other members a server stands; `nil` when it is none.
    func position(of uid: ServerUID) -> Int? { peers.firstIndex { $0.uid == uid } }

    /// Goes by the latest configuration from now on: it is in force as soon as it is in the log (section 6).
    mutating func adoptConfiguration(now: Instant) {
        let configuration = configurations.latest.configuration
        peers = configuration.members.filter { $0.uid != uid }.map { member in
            var peer =
                position(of: member.uid).map { peers[$0] }
                ?? Peer(
                    uid: member.uid, isVoter: member.isVoter, isUp: upServers.contains(member.uid),
                    progress: Progress(next: lastIndex.next))
            peer.isVoter = member.isVoter
            return peer
        }
        isVoter = configuration.isVoter(uid)
        voterCount = configuration.voters.count
        hasPromotable = configuration.members.contains { $0.isPromotable }
        if configuration.member(uid) != nil {
            hasBeenMember = true
            if let removedAt, configurations.latest.index > removedAt { self.removedAt = nil }
        }
        noteStanding()
        if role == .follower, leader != nil { restElectionTimer(now: now) }
    }

    /// Works out again what depends on which configurations may still be in force.
    mutating func noteStanding() {
        isOutside = hasBeenMember && !configurations.names(uid)
        if !canCampaign { electionDeadline = nil }
    }

    /// Leader: puts a configuration into the log, where it is in force at once. Whether the change is permitted is the
    /// caller's to know.
    mutating func appendConfiguration(_ configuration: ClusterConfiguration, now: Instant, actions: inout Actions) {
        precondition(role == .leader && !configuration.members.isEmpty, "a configuration by \(self)")
        logTerms.append(count: 1, term: term)
        configurations.append(index: lastIndex, configuration)
        adoptConfiguration(now: now)
        actions.append(.appendConfiguration(index: lastIndex, configuration))
        needsFlush = true
        // A majority may be another number now, and nobody may be left who would answer once more.
        countCommitted(actions: &actions)
        if reads.isOut { _ = finishReadRound(actions: &actions) }
        watchQuorum(now: now)
    }
}
