import FlotillaWire

// A follower's side of replication (section 5.3). Entries are taken from whoever leads by the term it names, member of
// the local configuration or not: the configuration that names the leader may be among the entries.
extension RaftServer {
    mutating func receive(
        _ entries: ReceivedEntries, from sender: ServerUID, now: Instant, actions: inout Actions
    ) {
        let message = entries.message
        guard sender != uid, entries.isWellFormed else { return }
        guard message.term >= term else {
            let reply = AppendReply(term: term, outcome: .stale)
            return actions.append(.send(.appendReply(reply), to: sender))
        }
        guard hearLeader(sender, in: message.term, now: now, actions: &actions) else { return }
        guard isShared(message) else { return answerConflict(message, to: sender, actions: &actions) }
        if message.count > 0 { take(entries, now: now, actions: &actions) }
        verified = max(verified, message.lastIndex)
        advanceCommit(to: min(message.commitIndex, verified))
        if durableIndex >= message.lastIndex { acknowledge(force: true, actions: &actions) }
    }

    /// Whether this log and the leader's are the same through the position before the entries. What was committed is
    /// the same in both.
    private func isShared(_ message: AppendEntries) -> Bool {
        message.previousIndex < logTerms.baseIndex || logTerms.term(at: message.previousIndex) == message.previousTerm
    }

    /// Appends the entries that the log lacks. What it has of them already stays untouched, however short the message
    /// is and however often it comes; only an entry of another term at the same index takes the log's tail with it.
    private mutating func take(_ entries: ReceivedEntries, now: Instant, actions: inout Actions) {
        let message = entries.message
        let skip = logTerms.sharedCount(after: message.previousIndex, entries.terms, through: message.lastIndex)
        guard skip < message.count else { return }
        let first = message.previousIndex + skip + 1
        var isConfigurationChanged = false
        if first <= lastIndex {
            guard first > max(commitIndex, verified) else {
                // Some member's disk was put back to an older state, or its program is broken. What is committed here
                // stays; that this server can't follow any more is for its owner to say.
                actions.append(.contradicted(index: first))
                return
            }
            logTerms.truncate(from: first)
            durableLog.truncate(from: first)
            isConfigurationChanged = configurations.truncate(from: first)
            forgetEnd(from: first)
            actions.append(.truncate(from: first, epoch: logEpoch))
        }
        logTerms.append(entries.terms, through: message.lastIndex)
        for item in entries.configurations where item.index >= first {
            configurations.append(index: item.index, item.configuration)
            isConfigurationChanged = true
        }
        noteEnd(entries.endIndex, from: first)
        if isConfigurationChanged { adoptConfiguration(now: now) }
        actions.append(.accept(skip: skip))
    }

    /// Tells the leader where to look next: the last index that the logs may share, given the term that the leader has
    /// at the position it asked for.
    private func answerConflict(_ message: AppendEntries, to sender: ServerUID, actions: inout Actions) {
        let start = message.previousIndex > lastIndex ? lastIndex : message.previousIndex.previous
        let probe = logTerms.lastIndex(notAfter: start, termAtMost: message.previousTerm)
        let reply = AppendReply(
            term: term,
            outcome: .conflict(probe: probe, probeTerm: logTerms.term(at: probe) ?? .zero, lastIndex: lastIndex))
        actions.append(.send(.appendReply(reply), to: sender))
    }

    /// Tells the leader how far the log is both its own and durable, once that is more than it was told, or when it
    /// waits for an answer. It waits for the record of the term: a promise made in a term that a crash forgets could
    /// be broken by a vote in that term.
    mutating func acknowledge(force: Bool, actions: inout Actions) {
        let reached = min(durableIndex, verified)
        guard role == .follower, let leader, force || reached > acknowledged else { return }
        guard durableHardState.term == term else {
            isReplyOwed = isReplyOwed || force
            return
        }
        isReplyOwed = false
        acknowledged = max(acknowledged, reached)
        actions.append(.send(.appendReply(AppendReply(term: term, outcome: .matched(reached))), to: leader))
    }

    mutating func receive(_ notice: CommitNotice, from sender: ServerUID, now: Instant, actions: inout Actions) {
        guard notice.term >= term, hearLeader(sender, in: notice.term, now: now, actions: &actions) else { return }
        advanceCommit(to: min(notice.commitIndex, verified))
    }
}
