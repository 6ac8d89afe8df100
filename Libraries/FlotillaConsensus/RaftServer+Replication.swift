import FlotillaWire

// A leader's side of replication (section 5.3): optimistic and pipelined, so that one round trip carries many entries.
extension RaftServer {
    /// Takes `count` proposals at the end of the log. The caller encodes the entries with this server's term, the
    /// first at the index that is returned, and appends them to log and disk with `logEpoch`.
    public mutating func propose(count: Int) -> Result<LogIndex, ProposalRefusal> {
        precondition(count > 0, "a proposal of \(count) entries")
        guard role == .leader else { return .failure(.notLeader(leader: leader)) }
        if let transfer { return .failure(.transferring(to: transfer.target)) }
        // What it took now it would leave to others, and could tell nobody what became of it.
        if isRetiring { return .failure(.retiring) }
        if endIndex != nil { return .failure(.ending) }
        let first = lastIndex.next
        logTerms.append(count: count, term: term)
        needsFlush = true
        return .success(first)
    }

    /// Sends one follower what it has not got and has room for, and what is committed.
    mutating func replicate(to position: Int, log: some LogExtents, now: Instant, actions: inout Actions) {
        guard peers[position].isUp else { return }
        switch peers[position].progress.state {
        case .probe: sendProbe(to: position, log: log, now: now, actions: &actions)
        case .pipeline: fillWindow(of: position, log: log, now: now, actions: &actions)
        case .snapshot: break
        }
    }

    /// What the follower lacks next is in this log no more: it needs a snapshot (section 7). Nothing else is sent to it
    /// until it has one, or the caller says that the transfer has ended.
    private mutating func offerSnapshot(to position: Int, actions: inout Actions) {
        peers[position].progress.awaitSnapshot()
        actions.append(.sendSnapshot(to: peers[position].uid))
    }

    private mutating func sendProbe(to position: Int, log: some LogExtents, now: Instant, actions: inout Actions) {
        let next = peers[position].progress.next
        guard next > logTerms.baseIndex else { return offerSnapshot(to: position, actions: &actions) }
        guard peers[position].progress.mayProbe(hasEntries: next <= lastIndex) else { return }
        if peers[position].progress.probeCarriesEntries, next <= lastIndex {
            sendEntries(to: position, log: log, now: now, actions: &actions)
        } else {
            send(to: position, through: next.previous, bytes: 0, now: now, actions: &actions)
        }
    }

    private mutating func fillWindow(of position: Int, log: some LogExtents, now: Instant, actions: inout Actions) {
        while peers[position].progress.next <= lastIndex,
            peers[position].progress.hasRoom(
                bytes: settings.followerWindowBytes, entries: settings.followerWindowEntries)
        {
            guard sendEntries(to: position, log: log, now: now, actions: &actions) else { return }
        }
        guard peers[position].progress.wantsToKnow(commit: commitIndex) else { return }
        peers[position].progress.told(commit: commitIndex)
        let notice = CommitNotice(term: term, commitIndex: commitIndex)
        actions.append(.send(.commitNotice(notice), to: peers[position].uid))
    }

    /// Sends the next entries, as many as one message takes.
    ///
    /// - Returns: false when the log does not reach back to where the follower is, or has to be read from disk there.
    @discardableResult
    private mutating func sendEntries(
        to position: Int, log: some LogExtents, now: Instant, actions: inout Actions
    ) -> Bool {
        let next = peers[position].progress.next
        guard next > logTerms.baseIndex else {
            offerSnapshot(to: position, actions: &actions)
            return false
        }
        let room = max(1, settings.followerWindowEntries - peers[position].progress.inFlightEntries)
        let limit = min(lastIndex, next.previous + room)
        guard let extent = log.extent(from: next, through: limit, bytes: settings.appendBytes) else {
            actions.append(.fetchEntries(from: next))
            return false
        }
        precondition(
            extent.through >= next && extent.through <= limit,
            "an extent through \(extent.through) of \(next)...\(limit)")
        send(to: position, through: extent.through, bytes: extent.bytes, now: now, actions: &actions)
        return true
    }

    private mutating func send(
        to position: Int, through: LogIndex, bytes: Int, now: Instant, actions: inout Actions
    ) {
        let previous = peers[position].progress.next.previous
        // Before the base the terms are gone, and the follower can't be served from this log.
        guard let previousTerm = logTerms.term(at: previous) else { return }
        let message = AppendEntries(
            term: term, previousIndex: previous, previousTerm: previousTerm, commitIndex: commitIndex,
            count: through - previous)
        peers[position].progress.sent(through: through, bytes: bytes, commit: commitIndex, now: now)
        actions.append(.send(.appendEntries(message), to: peers[position].uid))
    }

    mutating func receive(_ reply: AppendReply, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard !yield(to: reply.term, from: sender, now: now, actions: &actions) else { return }
        guard role == .leader, reply.term == term, let position = position(of: sender) else { return }
        peers[position].isHeard = peers[position].isUp
        switch reply.outcome {
        case .matched(let index): matched(index, at: position, now: now, actions: &actions)
        case .conflict(let probe, let probeTerm, lastIndex: _):
            conflicted(probe: probe, probeTerm: probeTerm, at: position)
        case .stale: break
        }
    }

    private mutating func matched(_ index: LogIndex, at position: Int, now: Instant, actions: inout Actions) {
        // A follower acknowledges only what this leader sent it.
        guard index <= lastIndex else { return }
        if peers[position].progress.matched(index, now: now, base: logTerms.baseIndex) {
            countCommitted(actions: &actions)
            continueTransfer(now: now, actions: &actions)
        }
        needsFlush = true
    }

    /// Goes back to where the logs may meet. Terms do not fall within a log, so what this log has of later terms than
    /// the follower has there is skipped at once; with the same index and term in both, they do meet there.
    private mutating func conflicted(probe: LogIndex, probeTerm: Term, at position: Int) {
        guard probe >= peers[position].progress.match else { return }
        let shared = logTerms.lastIndex(notAfter: probe, termAtMost: probeTerm)
        let isCertain = shared == probe && logTerms.term(at: shared) == probeTerm
        if peers[position].progress.conflict(shared: shared, isCertain: isCertain) { needsFlush = true }
    }
}
