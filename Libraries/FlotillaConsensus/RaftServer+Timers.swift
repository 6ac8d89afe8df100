import FlotillaWire

extension RaftServer {
    /// When a `tick` is wanted; `nil` while there is nothing to wait for, as in an idle cluster.
    public var deadline: Instant? {
        var earliest = Self.earlier(electionDeadline, transfer?.deadline)
        if isCampaigning { earliest = Self.earlier(earliest, voteRepetition) }
        guard role == .leader else { return earliest }
        earliest = Self.earlier(earliest, quorumDeadline)
        earliest = Self.earlier(earliest, readRoundDeadline)
        for peer in peers where peer.isUp {
            earliest = Self.earlier(earliest, peer.progress.awaitingSince.map { $0 + settings.electionTimeout })
        }
        return earliest
    }

    mutating func tick(now: Instant, actions: inout Actions) {
        if let deadline = transfer?.deadline, deadline <= now { endTransfer(actions: &actions) }
        if let electionDeadline, electionDeadline <= now { electionTimeout(now: now, actions: &actions) }
        if isCampaigning, let voteRepetition, voteRepetition <= now { requestVotes(now: now, actions: &actions) }
        guard role == .leader else { return }
        if let quorumDeadline, quorumDeadline <= now {
            // Another leader may be at work where the majority is; whoever waits here should ask elsewhere.
            return becomeFollower(in: term, now: now, actions: &actions)
        }
        for position in peers.indices where peers[position].isUp {
            guard let since = peers[position].progress.awaitingSince, since + settings.electionTimeout <= now else {
                continue
            }
            peers[position].progress.reset()
            needsFlush = true
        }
        if let deadline = readRoundDeadline, deadline <= now { repeatReadRound(now: now, actions: &actions) }
    }

    /// Whether it seeks votes, or the promise of them.
    private var isCampaigning: Bool { role == .preCandidate || role == .candidate }

    private static func earlier(_ left: Instant?, _ right: Instant?) -> Instant? {
        guard let left, let right else { return left ?? right }
        return min(left, right)
    }
}
