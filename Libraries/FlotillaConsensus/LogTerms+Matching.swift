import FlotillaWire

extension LogTerms {
    /// How many of the entries that follow `previous` and end at `last`, with the terms in `newRuns`, this log has
    /// already, counted from the front. What lies at or before the base was committed, so it is the same in every log.
    ///
    /// `previous` must not lie behind the end of the log, and the runs must begin right after it.
    func sharedCount(after previous: LogIndex, _ newRuns: [TermRun], through last: LogIndex) -> Int {
        guard last > baseIndex else { return last - previous }
        var index = max(previous, baseIndex).next
        for position in newRuns.indices {
            let end = position + 1 < newRuns.count ? newRuns[position + 1].first.previous : last
            while index <= end {
                guard index <= lastIndex else { return index - previous - 1 }
                let own = self.position(of: index)
                guard runs[own].term == newRuns[position].term else { return index - previous - 1 }
                index = min(self.end(ofRunAt: own), end).next
            }
        }
        return last - previous
    }

    /// The last index at or before `index` whose term is at most `term`; at least the base, unless `index` itself is
    /// before it. Since terms never fall within a log, every index after the answer and through `index` has a higher
    /// term, so it can't be shared with a log whose term at `index` is `term`. Looking for the shared part this way
    /// costs one step a term, not one an entry (Ongaro and Ousterhout 2014, end of section 5.3).
    func lastIndex(notAfter index: LogIndex, termAtMost term: Term) -> LogIndex {
        var index = min(index, lastIndex)
        for run in runs.reversed() where run.first <= index {
            if run.term <= term { return index }
            index = run.first.previous
        }
        return index
    }
}
