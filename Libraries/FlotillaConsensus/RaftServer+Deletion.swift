import FlotillaWire

// The end of a whole cluster: an entry behind which nothing is ever applied. Until it is committed, it may be lost with
// the tail of the log as every entry may, and then the cluster goes on as if nobody had asked.
extension RaftServer {
    /// Leader: takes the entry that ends the cluster at the end of the log. The caller appends an entry of the kind
    /// `endOfLife` at the index that is returned; from then on no proposal and no change of the members is taken.
    ///
    /// - Returns: why it was not taken; `ending` where the log has such an entry already.
    public mutating func proposeEnd() -> Result<LogIndex, ProposalRefusal> {
        let result = propose(count: 1)
        if case .success(let index) = result { endIndex = index }
        return result
    }

    /// Where the cluster has ended, once that is known to be committed.
    public var committedEnd: LogIndex? { endIndex.flatMap { $0 <= commitIndex ? $0 : nil } }

    /// Follower: it was told for certain that the cluster has ended with the entry of this index and term. A log that has this entry
    /// is the same through there as that of whoever committed it (log matching, section 5.3), so all of it is committed. A
    /// leader knows what is committed from its own counting only.
    ///
    /// - Returns: whether it has the entry, and so knows now that it is committed.
    public mutating func hearOfEnd(at index: LogIndex, term endTerm: Term) -> Bool {
        guard role != .leader, endIndex == index, logTerms.term(at: index) == endTerm else { return false }
        advanceCommit(to: index)
        return true
    }

    /// Notes the end among entries that were appended from `first` on.
    mutating func noteEnd(_ index: LogIndex?, from first: LogIndex) {
        guard let index, index >= first, endIndex == nil else { return }
        endIndex = index
    }

    /// The log was cut at `first`: where the end stood behind that, the cluster has none any more.
    mutating func forgetEnd(from first: LogIndex) {
        if let end = endIndex, end >= first { endIndex = nil }
    }
}
