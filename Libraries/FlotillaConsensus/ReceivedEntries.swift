import FlotillaWire

/// An `AppendEntries` with what the core needs to know about the entries that came with it.
struct ReceivedEntries {
    var message: AppendEntries
    var terms: [TermRun]
    var configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    /// Where among them the cluster ends, if it does.
    var endIndex: LogIndex?

    /// Whether the parts fit together: runs that ascend and cover exactly the entries, no term beyond the sender's,
    /// configurations among the entries. It comes from outside, so what does not fit is dropped, not trusted.
    var isWellFormed: Bool {
        let (last, overflow) = message.previousIndex.rawValue.addingReportingOverflow(
            UInt64(clamping: message.count))
        guard message.count >= 0, !overflow, LogIndex(last) <= RaftServer.highestIndex,
            message.term <= RaftServer.highestTerm, message.previousTerm <= message.term,
            message.previousIndex > .zero || message.previousTerm == .zero
        else { return false }
        return areTermsWellFormed && areConfigurationsWellFormed && isEndAmongThem
    }

    private var isEndAmongThem: Bool {
        endIndex.map { $0 > message.previousIndex && $0 <= message.lastIndex } ?? true
    }

    private var areTermsWellFormed: Bool {
        guard message.count > 0 else { return terms.isEmpty }
        guard terms.first?.first == message.previousIndex.next else { return false }
        var termBefore = message.previousTerm
        var indexBefore = message.previousIndex
        for run in terms {
            guard run.first > indexBefore, run.first <= message.lastIndex, run.term >= termBefore,
                run.term <= message.term
            else { return false }
            indexBefore = run.first
            termBefore = run.term
        }
        return true
    }

    private var areConfigurationsWellFormed: Bool {
        var before = message.previousIndex
        for item in configurations {
            guard item.index > before, item.index <= message.lastIndex else { return false }
            before = item.index
        }
        return true
    }
}
