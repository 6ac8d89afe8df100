import FlotillaWire

/// One member of a Raft cluster, as a value: an event goes in, actions come out (Ongaro and Ousterhout 2014, with
/// pre-vote, check-quorum, read index and leadership transfer of Ongaro 2014).
///
/// It does no I/O, reads no clock and draws no randomness but from its seed, and it never sees an entry: of the log it
/// knows the terms. The caller steps events in the order in which they happened, carries out the actions in order, and
/// calls `flush` at the end of a turn. An idle cluster is silent: whether servers are there is told by `peerUp`,
/// `peerDown` and `peerState`, which the nodes work out among themselves for all clusters together.
public struct RaftServer: Sendable {
    /// The identity of this server's storage.
    public let uid: ServerUID
    /// The times and sizes that it goes by.
    public let settings: RaftSettings
    /// What it is at the moment.
    public internal(set) var role: Role = .follower
    /// Who leads this term, as far as it is known and was not lost since.
    public internal(set) var leader: ServerUID?
    /// The log is known to be committed through here.
    public internal(set) var commitIndex: LogIndex
    /// Whether `flush` has something to do.
    public internal(set) var needsFlush = false
    /// Term and vote, on disk or on their way there.
    public internal(set) var hardState: HardState
    /// The terms of the log.
    public internal(set) var logTerms: LogTerms
    /// Whether some configuration that this server had in its log named it; not yet in one that is about to join.
    public internal(set) var hasBeenMember = false
    /// Where in the log the entry stands that ends the cluster, committed or not; `nil` while there is none.
    public internal(set) var endIndex: LogIndex?

    /// Term and vote as they are on disk.
    var durableHardState: HardState
    var durableLog: DurableLog
    var configurations: ConfigurationHistory
    var random: SplitMix64
    /// All other members by the latest configuration, in its order.
    var peers: [Peer] = []
    /// The servers whose connection is up, members or not: one may become a member later.
    var upServers: [ServerUID] = []
    var isVoter = false
    var voterCount = 0
    /// Whether some member is to become a voter.
    var hasPromotable = false
    /// Whether it was a member and no configuration names it any more, from the last committed one on.
    var isOutside = false

    /// When to campaign; `nil` while a leader is heard, on a leader, and where campaigning is no use.
    var electionDeadline: Instant?
    /// Campaigning: when to ask again those who have not granted what it asks for; a request or its answer may be lost
    /// where a node counts another as down that does not.
    var voteRepetition: Instant?
    /// The kind of the vote that this candidate seeks.
    var campaignKind: VoteRequest.Kind = .vote
    /// The committed index at which, as this server was told, it is no member any more.
    var removedAt: LogIndex?
    /// Whether the caller has said that this server's node can't serve a leader at the moment.
    public internal(set) var isUnfitToLead = false
    /// A granted vote whose record is not durable yet, and who waits for it.
    var pendingVote: (reply: VoteReply, to: ServerUID)?

    /// Follower: whether the leader was heard since its connection came up.
    var isLeaderHeard = false
    /// Follower: how far the log is known to be this term's leader's.
    var verified: LogIndex = .zero
    /// Follower: how far that was acknowledged to this term's leader.
    var acknowledged: LogIndex = .zero
    /// Follower: whether the leader waits for an answer even if it says nothing new.
    var isReplyOwed = false

    /// Leader: the noop that began its term.
    var noopIndex: LogIndex = .zero
    /// Leader: when to step down, unless a majority is heard before.
    var quorumDeadline: Instant?
    var reads = ReadRounds()
    var forwardedReads: ForwardedReads
    var transfer: Transfer?
    /// Reused for computing the commit index.
    var matches: [LogIndex] = []

    /// A server that starts from what is on its disk.
    ///
    /// - Parameters:
    ///   - recovered: must have no `inconsistency`.
    ///   - seed: decides its random delays and where the numbers of its requests begin. It must be another one at each
    ///     start and for each server: a server that numbers its requests as it did before a crash could take a late
    ///     reply to an old query for the reply to a new one, and answer with an old state.
    ///   - now: the time.
    public init(uid: ServerUID, settings: RaftSettings, recovered: RecoveredState, seed: UInt64, now: Instant) {
        precondition(recovered.inconsistency == nil, "can't start \(uid): \(recovered.inconsistency ?? "")")
        self.uid = uid
        self.settings = settings
        hardState = recovered.hardState
        durableHardState = recovered.hardState
        logTerms = recovered.logTerms
        durableLog = DurableLog(index: recovered.logTerms.lastIndex)
        endIndex = recovered.endIndex
        commitIndex = max(recovered.commitFloor, recovered.logTerms.baseIndex)
        configurations = ConfigurationHistory(recovered.configurations, commitIndex: commitIndex)
        random = SplitMix64(seed: seed)
        forwardedReads = ForwardedReads(start: random.next())
        hasBeenMember = configurations.names(uid)
        _ = configurations.forget(before: commitIndex)
        adoptConfiguration(now: now)
        let isFresh = hardState.term == .zero && lastIndex == .zero
        armElectionTimer(isFresh ? settings.freshStartDelay : settings.electionDelay, now: now)
        // Whoever is the only voter has nobody to wait for.
        if canCampaign, isVoter, configuration.voters.count == 1 { electionDeadline = now }
    }

    /// Takes one event and adds what follows from it to `actions`.
    ///
    /// - Parameter now: the time, never earlier than in the call before.
    public mutating func step(_ event: Event, now: Instant, actions: inout Actions) {
        switch event {
        case .tick: tick(now: now, actions: &actions)
        case .message(let message, from: let sender): receive(message, from: sender, now: now, actions: &actions)
        case .appendEntries(let message, from: let sender, terms: let terms, configurations: let items, end: let end):
            let entries = ReceivedEntries(message: message, terms: terms, configurations: items, endIndex: end)
            receive(entries, from: sender, now: now, actions: &actions)
        case .entriesDurable(epoch: let epoch, through: let through):
            entriesDurable(epoch: epoch, through: through, actions: &actions)
        case .hardStateDurable(let state): hardStateDurable(state, now: now, actions: &actions)
        case .peerUp(let peer): peerUp(peer, now: now, actions: &actions)
        case .peerDown(let peer): peerDown(peer, now: now, actions: &actions)
        case .peerState(let peer, term: let term, leader: let leader):
            peerState(peer, term: term, leader: leader, now: now, actions: &actions)
        case .entriesFetched: if role == .leader { needsFlush = true }
        case .snapshotEnded(let peer): snapshotEnded(peer)
        case .snapshotInstalled(let index, let term, let configuration):
            install(index: index, term: term, configuration: configuration, now: now, actions: &actions)
        case .compacted(through: let index): compact(through: index)
        case .read(token: let token): read(token: token, actions: &actions)
        case .transferLeadership(to: let target, giveUpAt: let limit):
            transferLeadership(to: target, giveUpAt: limit, now: now, actions: &actions)
        case .triggerElection: triggerElection(now: now, actions: &actions)
        case .unfitToLead(let isUnfit): unfitToLead(isUnfit, now: now, actions: &actions)
        }
        promoteWhoCaughtUp(now: now, actions: &actions)
        watchQuorum(now: now)
    }

    private mutating func receive(
        _ message: ConsensusMessage, from sender: ServerUID, now: Instant, actions: inout Actions
    ) {
        guard sender != uid, message.term <= Self.highestTerm else { return }
        switch message {
        case .appendEntries: preconditionFailure("an AppendEntries comes by its own event, with its terms")
        case .appendReply(let reply): receive(reply, from: sender, now: now, actions: &actions)
        case .commitNotice(let notice): receive(notice, from: sender, now: now, actions: &actions)
        case .voteRequest(let request): receive(request, from: sender, now: now, actions: &actions)
        case .voteReply(let reply): receive(reply, from: sender, now: now, actions: &actions)
        case .readRound(let round): receive(round, from: sender, now: now, actions: &actions)
        case .readRoundReply(let reply): receiveReply(reply, from: sender, now: now, actions: &actions)
        case .readIndexRequest(let request): receive(request, from: sender, now: now, actions: &actions)
        case .readIndexReply(let reply): receive(reply, from: sender, now: now, actions: &actions)
        case .timeoutNow(let message): receive(message, from: sender, now: now, actions: &actions)
        case .removed(let notice): receive(notice, now: now, actions: &actions)
        case .installSnapshot(let offer): receive(offer, from: sender, now: now, actions: &actions)
        }
    }

    /// The end of a turn: sends what has gathered. On a leader that is one `AppendEntries` for each follower with room
    /// in its window, several while it catches up, a commit notice where nothing else tells the commit index, and a
    /// read round when queries wait for one. A leader that has no vote any more, which is committed, then steps down.
    ///
    /// - Parameter log: the lengths of this server's entries.
    public mutating func flush(log: some LogExtents, now: Instant, actions: inout Actions) {
        guard needsFlush else { return }
        needsFlush = false
        guard role == .leader else { return }
        startReadRound(now: now, actions: &actions)
        for position in peers.indices { replicate(to: position, log: log, now: now, actions: &actions) }
        retire(now: now, actions: &actions)
    }

    /// No term beyond this one is believed, so that counting on from one never overflows.
    static let highestTerm = Term(UInt64.max / 2)
    /// No index beyond this one is believed, for the same reason.
    static let highestIndex = LogIndex(UInt64.max / 2)
}
