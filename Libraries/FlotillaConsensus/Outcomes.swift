import FlotillaWire

/// Why a server does not take proposals.
public enum ProposalRefusal: Error, Equatable, Sendable {
    /// It does not lead; the leader that it knows of, if any.
    case notLeader(leader: ServerUID?)
    /// It is handing leadership to another server.
    case transferring(to: ServerUID)
    /// It has no vote any more and leads only until that is committed.
    case retiring
    /// Its log has the entry that ends the cluster: what stood behind it would never be applied.
    case ending
}

/// How a transfer of leadership ended.
public enum TransferOutcome: Equatable, Sendable {
    /// Another server leads now; usually, but not necessarily, the one that was asked for.
    case completed(by: ServerUID)
    /// The target was asked to lead and nobody did within an election timeout.
    case timedOut
    /// The target did not catch up before the time that the caller had set.
    case notUpToDate
    /// It was not tried.
    case refused(TransferRefusal)
}

/// Why a transfer of leadership was not tried.
public enum TransferRefusal: Equatable, Sendable {
    /// The target leads already.
    case alreadyLeader
    /// The target is no member.
    case unknownMember
    /// The target is a member that does not vote.
    case nonVoter
    /// This server does not lead.
    case notLeader
    /// Leadership is being transferred already.
    case transferInProgress
}
