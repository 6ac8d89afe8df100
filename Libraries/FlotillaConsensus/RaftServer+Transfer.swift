import FlotillaWire

/// A transfer of leadership that this server began.
struct Transfer: Sendable {
    enum Phase: Sendable {
        /// The target does not have the whole log yet.
        case catchingUp
        /// The target was asked to start an election.
        case asked
    }

    var target: ServerUID
    var phase: Phase
    /// When it ends without success.
    var deadline: Instant
}

// Handing leadership over (Ongaro 2014, section 3.10). Proposals are refused meanwhile, so that the target's log stays
// as complete as it was when it was asked.
extension RaftServer {
    mutating func transferLeadership(
        to target: ServerUID, giveUpAt limit: Instant, now: Instant, actions: inout Actions
    ) {
        if let refusal = transferRefusal(target) {
            return actions.append(.transferEnded(.refused(refusal)))
        }
        transfer = Transfer(target: target, phase: .catchingUp, deadline: limit)
        continueTransfer(now: now, actions: &actions)
    }

    private func transferRefusal(_ target: ServerUID) -> TransferRefusal? {
        guard role == .leader else { return .notLeader }
        guard target != uid else { return .alreadyLeader }
        guard let position = position(of: target) else { return .unknownMember }
        guard peers[position].isVoter else { return .nonVoter }
        return transfer == nil ? nil : .transferInProgress
    }

    /// Asks the target to campaign once it has the whole log.
    mutating func continueTransfer(now: Instant, actions: inout Actions) {
        guard let transfer, transfer.phase == .catchingUp, let position = position(of: transfer.target),
            peers[position].progress.match == lastIndex
        else { return }
        self.transfer?.phase = .asked
        self.transfer?.deadline = now + settings.electionTimeout
        actions.append(.send(.timeoutNow(TimeoutNow(term: term)), to: transfer.target))
    }

    /// The time is over: if this server leads still, it goes on leading.
    mutating func endTransfer(actions: inout Actions) {
        guard let ended = transfer else { return }
        transfer = nil
        let wasTooSlow = role == .leader && ended.phase == .catchingUp
        actions.append(.transferEnded(wasTooSlow ? .notUpToDate : .timedOut))
    }

    /// Leadership is lost while the target was still behind. Who leads next is another matter than the transfer.
    mutating func abandonCatchingUp(actions: inout Actions) {
        guard transfer?.phase == .catchingUp else { return }
        endTransfer(actions: &actions)
    }

    /// Another leader is known, or this server leads again.
    mutating func noteLeaderForTransfer(_ newLeader: ServerUID, actions: inout Actions) {
        guard transfer != nil else { return }
        transfer = nil
        actions.append(.transferEnded(newLeader == uid ? .timedOut : .completed(by: newLeader)))
    }
}
