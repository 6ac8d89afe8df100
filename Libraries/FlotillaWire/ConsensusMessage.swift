import NIOCore

/// What one server of a cluster says to another. The entries of an `appendEntries` are not in it: the log knows
/// positions and terms only, and the runtime puts the bytes behind the message when it encodes the frame.
public enum ConsensusMessage: Equatable, Sendable {
    case appendEntries(AppendEntries)
    case appendReply(AppendReply)
    case commitNotice(CommitNotice)
    case voteRequest(VoteRequest)
    case voteReply(VoteReply)
    case readRound(ReadRound)
    case readRoundReply(ReadRound)
    case readIndexRequest(ReadIndexRequest)
    case readIndexReply(ReadIndexReply)
    case timeoutNow(TimeoutNow)
    case removed(Removed)
    case installSnapshot(InstallSnapshot)
}

/// Asks a follower to append entries behind a position that both logs share (Raft, section 5.3). Without entries it
/// only asks whether the position is shared.
public struct AppendEntries: Equatable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The position before the first entry.
    public var previousIndex: LogIndex
    /// The term of the entry at that position.
    public var previousTerm: Term
    /// The leader's commit index.
    public var commitIndex: LogIndex
    /// How many entries follow; their indexes are consecutive from `previousIndex` on.
    public var count: Int

    /// A message of these parts.
    public init(term: Term, previousIndex: LogIndex, previousTerm: Term, commitIndex: LogIndex, count: Int) {
        self.term = term
        self.previousIndex = previousIndex
        self.previousTerm = previousTerm
        self.commitIndex = commitIndex
        self.count = count
    }

    /// The index of the last entry that follows, or the previous index when none does.
    public var lastIndex: LogIndex { previousIndex + count }
}

/// A follower's answer to `AppendEntries`.
public struct AppendReply: Equatable, Sendable {
    /// What became of the request.
    public enum Outcome: Equatable, Sendable {
        /// The follower's log is the leader's up to here, durably.
        case matched(LogIndex)
        /// The position before the entries is not shared. `probe` is where the leader should look next: every index
        /// after it is known to differ or to be absent; `probeTerm` is the follower's term at `probe`; `lastIndex`
        /// is the end of the follower's log.
        case conflict(probe: LogIndex, probeTerm: Term, lastIndex: LogIndex)
        /// The sender's term is over; `term` names a newer one.
        case stale
    }

    /// The follower's term.
    public var term: Term
    /// What became of the request.
    public var outcome: Outcome

    /// A reply of these parts.
    public init(term: Term, outcome: Outcome) {
        self.term = term
        self.outcome = outcome
    }
}

/// Tells followers how far the log is committed when nothing else is due, so that they apply the last entries before
/// a pause. It is not answered.
public struct CommitNotice: Equatable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The leader's commit index. A follower commits no further than it knows its log to match this leader's.
    public var commitIndex: LogIndex

    /// A notice of these parts.
    public init(term: Term, commitIndex: LogIndex) {
        self.term = term
        self.commitIndex = commitIndex
    }
}

/// Asks for a vote, or for the promise of one (pre-vote: Ongaro 2014, section 9.6).
public struct VoteRequest: Equatable, Sendable {
    /// Whether it is a vote, the promise of one, or a vote on the leader's own wish.
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// A vote in `term`.
        case vote = 0
        /// Would you vote for me in `term`? Changes nothing at the receiver.
        case preVote = 1
        /// A vote that the leader of `term - 1` asked the sender to seek: a hearable leader is no reason to refuse.
        case transfer = 2
    }

    /// Which of the three it is.
    public var kind: Kind
    /// The term in which the sender wants to lead.
    public var term: Term
    /// The last index of the sender's log.
    public var lastIndex: LogIndex
    /// The term of the entry there.
    public var lastTerm: Term

    /// A request of these parts.
    public init(kind: Kind, term: Term, lastIndex: LogIndex, lastTerm: Term) {
        self.kind = kind
        self.term = term
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
    }
}

/// The answer to `VoteRequest`.
public struct VoteReply: Equatable, Sendable {
    /// Which kind of request is answered.
    public var kind: VoteRequest.Kind
    /// The term that the request named, when granted; else the voter's own.
    public var term: Term
    /// Whether the vote, or the promise, is given.
    public var granted: Bool

    /// A reply of these parts.
    public init(kind: VoteRequest.Kind, term: Term, granted: Bool) {
        self.kind = kind
        self.term = term
        self.granted = granted
    }
}

/// One round in which a leader confirms that it still leads (read index: Ongaro 2014, section 6.4); the answer
/// repeats it. A follower whose term is newer answers with that term instead.
public struct ReadRound: Equatable, Sendable {
    /// The leader's term; in a reply the follower's.
    public var term: Term
    /// The round's number in that term.
    public var round: UInt64

    /// A round of these parts.
    public init(term: Term, round: UInt64) {
        self.term = term
        self.round = round
    }
}

/// A follower asks the leader for an index behind which it may answer a consistent query.
public struct ReadIndexRequest: Equatable, Sendable {
    /// The follower's term.
    public var term: Term
    /// The follower's number for the request.
    public var id: UInt64

    /// A request of these parts.
    public init(term: Term, id: UInt64) {
        self.term = term
        self.id = id
    }
}

/// The answer to `ReadIndexRequest`.
public struct ReadIndexReply: Equatable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The follower's number for the request.
    public var id: UInt64
    /// The index that must be applied before the answer; `nil` when the asked server does not lead.
    public var index: LogIndex?

    /// A reply of these parts.
    public init(term: Term, id: UInt64, index: LogIndex?) {
        self.term = term
        self.id = id
        self.index = index
    }
}

/// Asks a follower to start an election at once, because the leader wants it to lead (Ongaro 2014, section 3.10).
public struct TimeoutNow: Equatable, Sendable {
    /// The leader's term.
    public var term: Term

    /// A message for this term.
    public init(term: Term) { self.term = term }
}

/// Tells a server that it is no longer a member, so that it stops campaigning.
public struct Removed: Equatable, Sendable {
    /// The sender's term.
    public var term: Term
    /// The sender knows the log to be committed through here, and the configuration that is in force there does not name
    /// the receiver.
    public var committedIndex: LogIndex

    /// A message of these parts.
    public init(term: Term, committedIndex: LogIndex) {
        self.term = term
        self.committedIndex = committedIndex
    }
}

/// Offers a follower a snapshot, because what it lacks is in the leader's log no more (Raft, section 7). The follower
/// asks for the snapshot piece by piece if it has use for it; if its log reaches further already, it says how far.
public struct InstallSnapshot: Equatable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The last entry that the snapshot covers.
    public var index: LogIndex
    /// The term of that entry.
    public var indexTerm: Term

    /// An offer of these parts.
    public init(term: Term, index: LogIndex, indexTerm: Term) {
        self.term = term
        self.index = index
        self.indexTerm = indexTerm
    }
}
