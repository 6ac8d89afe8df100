import FlotillaWire

/// A stretch of consecutive entries of one term; it ends where the next run begins.
public struct TermRun: Hashable, Sendable {
    /// The index of its first entry.
    public var first: LogIndex
    /// The term of all its entries.
    public var term: Term

    /// A run that begins at `first`.
    @inlinable
    public init(first: LogIndex, term: Term) {
        self.first = first
        self.term = term
    }
}

/// The terms of all entries of a log, as runs: all that consensus needs to know of a log, in a few words however long
/// the log is, so that matching logs and weighing votes never touches the disk.
public struct LogTerms: Hashable, Sendable {
    /// The position before the first entry: zero, or the last index that was compacted away.
    public private(set) var baseIndex: LogIndex
    /// The term of the entry there.
    public private(set) var baseTerm: Term
    /// The runs after the base, ascending in index and in term; the first begins right after the base.
    public private(set) var runs: [TermRun] = []
    /// The index of the last entry, or the base when there is none.
    public private(set) var lastIndex: LogIndex

    /// An empty log behind a base.
    public init(baseIndex: LogIndex = .zero, baseTerm: Term = .zero) {
        self.baseIndex = baseIndex
        self.baseTerm = baseTerm
        lastIndex = baseIndex
    }

    /// The term of the last entry, or of the base when there is none.
    public var lastTerm: Term { runs.last?.term ?? baseTerm }

    /// Whether there is no entry behind the base.
    public var isEmpty: Bool { runs.isEmpty }

    /// The term of the entry at `index`; `nil` before the base and after the end.
    public func term(at index: LogIndex) -> Term? {
        guard index >= baseIndex, index <= lastIndex else { return nil }
        guard index > baseIndex else { return baseTerm }
        return runs[position(of: index)].term
    }

    /// The first index of a term; `nil` when no entry behind the base has it.
    public func firstIndex(of term: Term) -> LogIndex? {
        runs.last { $0.term == term }?.first
    }

    /// Adds entries of one term at the end. The term must not be lower than the last one.
    public mutating func append(count: Int, term: Term) {
        precondition(count > 0 && term >= lastTerm, "\(count) entries of term \(term) behind \(self)")
        if runs.last?.term != term { runs.append(TermRun(first: lastIndex.next, term: term)) }
        lastIndex = lastIndex + count
    }

    /// Adds the part of `newRuns` that lies behind the end of the log, through index `last`. The runs must reach back
    /// to the end of the log, and ascend.
    public mutating func append(_ newRuns: [TermRun], through last: LogIndex) {
        for position in newRuns.indices where lastIndex < last {
            let end = position + 1 < newRuns.count ? newRuns[position + 1].first.previous : last
            guard end > lastIndex else { continue }
            precondition(newRuns[position].first <= lastIndex.next, "runs \(newRuns) leave a gap behind \(self)")
            append(count: end - lastIndex, term: newRuns[position].term)
        }
    }

    /// Removes the entries from `index` on, which must lie behind the base.
    public mutating func truncate(from index: LogIndex) {
        precondition(index > baseIndex, "truncation of \(self) from \(index), at or before its base")
        guard index <= lastIndex else { return }
        while let last = runs.last, last.first >= index { runs.removeLast() }
        lastIndex = index.previous
    }

    /// Forgets the terms up to `index`, which becomes the base. An index at or before the base changes nothing.
    public mutating func compact(through index: LogIndex) {
        guard index > baseIndex else { return }
        precondition(index <= lastIndex, "compaction of \(self) through \(index), behind its end")
        let run = position(of: index)
        let isWhole = end(ofRunAt: run) == index
        baseTerm = runs[run].term
        baseIndex = index
        runs.removeFirst(isWhole ? run + 1 : run)
        if !isWhole { runs[0].first = index.next }
    }

    /// The position of the run that holds `index`, which must lie behind the base and not behind the end.
    func position(of index: LogIndex) -> Int {
        var low = 0
        var high = runs.count - 1
        if runs[high].first <= index { return high }
        while low < high {
            let middle = (low + high + 1) / 2
            if runs[middle].first <= index { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// The last index of the run at a position.
    func end(ofRunAt position: Int) -> LogIndex {
        position + 1 < runs.count ? runs[position + 1].first.previous : lastIndex
    }
}

extension LogTerms: CustomStringConvertible {
    /// The runs in words: `1...3 of term 1, 4...5 of term 4`.
    public var description: String {
        let base = baseIndex == .zero ? [] : ["base \(baseIndex) of term \(baseTerm)"]
        let parts = runs.indices.map { "\(runs[$0].first)...\(end(ofRunAt: $0)) of term \(runs[$0].term)" }
        return "[" + (base + parts).joined(separator: ", ") + "]"
    }
}
