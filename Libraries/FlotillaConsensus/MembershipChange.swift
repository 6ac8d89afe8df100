import FlotillaWire

/// A change of the members of a cluster, one server at a time (Ongaro 2014, chapter 4).
public enum MembershipChange: Equatable, Sendable {
    /// Adds a member, or gives one of the same name and storage identity another role; nothing else of it changes then.
    /// The target of one that is promotable is set by the leader: the end of its log.
    case add(Member)
    /// Removes a member, by its storage identity.
    case remove(ServerUID)
    /// Puts a member that has no vote yet in the place of one of the same name whose storage is lost. Of the voters only
    /// the lost one changes, so it is one change and not two; and no leader can fail between them.
    case replace(ServerUID, by: Member)
}

/// Why a change of the members was not made; nothing was appended.
public enum MembershipRefusal: Error, Equatable, Sendable {
    /// The server does not lead; the leader that it knows of, if any.
    case notLeader(leader: ServerUID?)
    /// Not at the moment: the change before is not committed yet, nor perhaps the entry that began the leader's term,
    /// or leadership is being handed over.
    case notPermitted
    /// The cluster is being deleted.
    case ending
    /// There is a member of this name or of this storage identity already. One whose storage is another now must be
    /// removed first.
    case alreadyMember
    /// There is no such member.
    case notMember
    /// No voter would be left.
    case lastVoter
    /// There would be more members than `Limits.members`.
    case tooManyMembers
}

extension ClusterConfiguration {
    /// The configuration after a change.
    ///
    /// - Parameter target: what the log of a promotable member that is added must reach.
    func applying(
        _ change: MembershipChange, target: LogIndex
    ) throws(MembershipRefusal) -> ClusterConfiguration {
        var changed = self
        switch change {
        case .add(let member): try changed.add(member, target: target)
        case .remove(let uid): try changed.remove(uid)
        case .replace(let uid, by: let new):
            guard member(uid)?.id == new.id, !new.isVoter else { throw .notMember }
            try changed.remove(uid)
            try changed.add(new, target: target)
        }
        guard changed.members.contains(where: \.isVoter) else { throw .lastVoter }
        return changed
    }

    private mutating func remove(_ uid: ServerUID) throws(MembershipRefusal) {
        guard member(uid) != nil else { throw .notMember }
        members.removeAll { $0.uid == uid }
    }

    private mutating func add(_ new: Member, target: LogIndex) throws(MembershipRefusal) {
        var new = new
        if new.isPromotable { new.role = .promotable(target: target) }
        guard let position = members.firstIndex(where: { $0.id == new.id || $0.uid == new.uid }) else {
            guard members.count < Limits.members else { throw .tooManyMembers }
            members.append(new)
            return
        }
        let old = members[position]
        guard old.id == new.id, old.uid == new.uid, old.role != new.role else { throw .alreadyMember }
        // A voter is what a promotable member is to become: asking for one twice must not cost a vote.
        guard !new.isPromotable || old.role == .nonVoter else { throw .alreadyMember }
        members[position].role = new.role
    }
}

extension Member {
    /// Whether it is to become a voter.
    var isPromotable: Bool { if case .promotable = role { true } else { false } }
}
