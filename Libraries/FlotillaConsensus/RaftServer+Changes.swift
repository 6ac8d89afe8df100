import FlotillaWire

// Changing the members, one at a time (Ongaro 2014, chapter 4).
extension RaftServer {
    /// Why this server would make no change of the members at the moment, whatever the change; `nil` when it would.
    ///
    /// A change waits until the entry that began this leader's term is committed. Without that, two leaders of different
    /// terms could each make a change whose majorities do not meet (Ongaro on raft-dev, July 2015).
    public var membershipRefusal: MembershipRefusal? {
        guard role == .leader else { return .notLeader(leader: leader) }
        if endIndex != nil { return .ending }
        let isOpen = readyToServe && isVoter && transfer == nil && configurationIndex <= commitIndex
        return isOpen ? nil : .notPermitted
    }

    /// Changes the members: the new configuration stands at the index that is returned, and is in force at once. It is
    /// lasting when that index is committed; until then no other change is made.
    ///
    /// A leader that removes itself, or its vote, leads on until that is committed, without counting itself and without
    /// taking proposals, and then hands over.
    public mutating func changeMembership(
        _ change: MembershipChange, now: Instant, actions: inout Actions
    ) -> Result<LogIndex, MembershipRefusal> {
        if let refusal = membershipRefusal { return .failure(refusal) }
        do {
            let changed = try configuration.applying(change, target: lastIndex)
            appendConfiguration(changed, now: now, actions: &actions)
        } catch {
            return .failure(error)
        }
        return .success(lastIndex)
    }

    /// Leader: makes a promotable member that has all that it was to reach a voter, if a change is permitted now. One
    /// that is down waits: it would only make majorities larger.
    mutating func promoteWhoCaughtUp(now: Instant, actions: inout Actions) {
        guard role == .leader, hasPromotable, membershipRefusal == nil else { return }
        var changed = configuration
        guard let position = changed.members.firstIndex(where: hasReachedTarget) else { return }
        changed.members[position].role = .voter
        appendConfiguration(changed, now: now, actions: &actions)
    }

    private func hasReachedTarget(_ member: Member) -> Bool {
        guard case .promotable(let target) = member.role, let position = position(of: member.uid) else { return false }
        return peers[position].isUp && peers[position].progress.match >= target
    }

    /// Whether it leads without a vote: it leads only until the configuration that took its vote is committed.
    public var isRetiring: Bool { role == .leader && !isVoter }

    /// Leader: once it is committed that this server has no vote, and the others were told so, the one among them that
    /// has most of the log takes over, and this one leads no more (Ongaro 2014, section 4.2.2).
    mutating func retire(now: Instant, actions: inout Actions) {
        guard isRetiring, configurationIndex <= commitIndex else { return }
        if transfer?.phase != .asked, let successor {
            actions.append(.send(.timeoutNow(TimeoutNow(term: term)), to: successor))
        }
        becomeFollower(in: term, now: now, actions: &actions)
    }

    /// The voter that is up and has most of the log, the first of several.
    private var successor: ServerUID? {
        var best: Peer?
        for peer in peers where peer.isVoter && peer.isUp {
            if best.map({ peer.progress.match > $0.progress.match }) ?? true { best = peer }
        }
        return best?.uid
    }
}
