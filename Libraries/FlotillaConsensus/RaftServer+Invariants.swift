import FlotillaWire

extension RaftServer {
    /// Stops with a description of the whole state when something holds that never may. It is not cheap; tests and
    /// the simulator call it after every step.
    public func checkInvariants() {
        if let violation = violatedInvariant { preconditionFailure("\(violation): \(self)") }
    }

    /// The first invariant that does not hold; `nil` when all do.
    public var violatedInvariant: String? {
        let checks: [(String, Bool)] = logChecks + roleChecks + peers.flatMap(checks(of:))
        return checks.first { !$0.1 }?.0
    }

    private var logChecks: [(String, Bool)] {
        let runs = logTerms.runs
        let items = configurations.items
        return [
            ("the term is at least the last entry's", term >= lastTerm),
            ("the first run begins behind the base", runs.first.map { $0.first == logTerms.baseIndex.next } ?? true),
            (
                "runs ascend",
                zip(runs, runs.dropFirst()).allSatisfy { $0.first < $1.first && $0.term < $1.term }
            ),
            ("the last run is not empty", runs.last.map { $0.first <= lastIndex } ?? true),
            ("what is committed is in the log", commitIndex <= lastIndex),
            ("the base is committed", logTerms.baseIndex <= commitIndex),
            ("what is durable is in the log", durableIndex <= lastIndex),
            ("the durable term is not ahead", durableHardState.term <= term),
            ("what is verified is in the log", verified <= lastIndex),
            ("only what is verified and durable is acknowledged", acknowledged <= min(verified, durableIndex)),
            ("configurations ascend", zip(items, items.dropFirst()).allSatisfy { $0.index < $1.index }),
            (
                "a leader makes one change at a time",
                role != .leader || items.count { $0.index > commitIndex && logTerms.term(at: $0.index) == term } <= 1
            ),
            ("the end is in the log", endIndex.map { $0 <= lastIndex && $0 > logTerms.baseIndex } ?? true),
            ("the configuration is in the log", configurations.latest.index <= lastIndex),
            ("the vote is the configuration's", isVoter == configuration.isVoter(uid)),
            ("voters are counted", voterCount == configuration.voters.count),
            ("who is outside is named nowhere", isOutside == (hasBeenMember && !configurations.names(uid))),
            (
                "one configuration at a time",
                !readyToServe || items.filter { $0.index > commitIndex }.count <= 1
            ),
            (
                "peers follow the configuration",
                peers.map(\.uid) == configuration.members.map(\.uid).filter { $0 != uid }
            ),
        ]
    }

    private var roleChecks: [(String, Bool)] {
        let isCampaigning = role == .preCandidate || role == .candidate
        return [
            ("a leader leads", (role == .leader) == (leader == uid)),
            ("whoever is unfit to lead seeks no promises", role != .preCandidate || !isUnfitToLead),
            ("a leader's vote for itself is durable", role != .leader || durableHardState.vote == uid),
            ("a leader's term is durable", role != .leader || durableHardState.term == term),
            (
                "a leader has its noop",
                role != .leader || noopIndex <= logTerms.baseIndex || logTerms.term(at: noopIndex) == term
            ),
            ("a candidate voted for itself", role != .candidate || hardState.vote == uid),
            ("who campaigns may", !isCampaigning || canCampaign),
            ("who campaigns knows no leader", !isCampaigning || leader == nil),
            ("only a follower hears a leader", !isLeaderHeard || (role == .follower && leader != nil)),
            ("a follower that knows a leader hears it", role != .follower || isLeaderHeard == (leader != nil)),
            ("no election timer beside a leader", electionDeadline == nil || leader == nil || isLeaderLeaving),
            ("who has a leader that leaves waits", !isLeaderLeaving || electionDeadline != nil || !canCampaign),
            (
                "a leader without a vote leads until that is committed",
                !isRetiring || configurationIndex > commitIndex || needsFlush
            ),
            ("who may campaign waits for it", electionDeadline != nil || leader != nil || !canCampaign),
            ("only a leader has reads", role == .leader || (!reads.isOut && reads.waiting.isEmpty)),
            ("a leader that hears no majority is about to step down", role != .leader || isMajorityWatched),
            ("only a leader needs a flush", role == .leader || !needsFlush),
        ]
    }

    private var isMajorityWatched: Bool {
        let heard = peers.count { $0.isVoter && $0.isHeard } + (isVoter ? 1 : 0)
        return quorumDeadline != nil || heard >= Quorum.size(voters: voterCount)
    }

    private func checks(of peer: Peer) -> [(String, Bool)] {
        let progress = peer.progress
        guard role == .leader else { return [("only a leader is confirmed", !peer.isHeard)] }
        let through = progress.inFlight.map(\.through)
        return [
            ("only who is up is heard", peer.isUp || !peer.isHeard),
            ("what matches is in the log", progress.match <= lastIndex),
            ("the next entry is behind what matches", progress.next > progress.match),
            ("the next entry follows the log", progress.next <= lastIndex.next),
            ("messages in flight ascend", zip(through, through.dropFirst()).allSatisfy { $0 < $1 }),
            ("messages in flight are unanswered", through.allSatisfy { $0 > progress.match }),
            ("bytes in flight add up", progress.inFlightBytes == progress.inFlight.reduce(0) { $0 + $1.bytes }),
            (
                "a pipeline goes on where it is",
                progress.state == .probe || through.last.map { $0 == progress.next.previous } ?? true
            ),
            (
                "who is asked is waited for",
                !(progress.isProbing || !through.isEmpty) || progress.awaitingSince != nil
            ),
        ]
    }
}
