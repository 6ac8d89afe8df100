import FlotillaWire

/// Which segments a server has, and which entries each of them shows.
///
/// A segment shows one range of its entries: those that no newer segment hides, and that no truncation has cut. The
/// ranges of two segments never overlap. A flushed segment hides everything older from its first entry on, since the
/// log was truncated there when it was written; one that came with a snapshot hides everything older up to the
/// snapshot; a compacted one hides what those hid that it replaces.
package struct SegmentSet: Sendable, Equatable {
    struct Member: Sendable, Equatable {
        var segment: Segment
        /// Entries from here on were truncated.
        var cut = Segment.Hiding.never
        /// What it shows, or would show if it could be read; `nil` for nothing.
        var range: ClosedRange<LogIndex>?
    }

    /// The server.
    package let uid: ServerUID
    /// All of them, oldest first.
    private(set) var members: [Member] = []
    /// What is shown, in ascending order.
    private(set) var shown: [SegmentSlice] = []
    /// The number that the next segment gets: higher than that of any that was here.
    package private(set) var nextNumber: UInt64 = 1

    /// No segments.
    package init(uid: ServerUID) { self.uid = uid }

    /// All segments, oldest first.
    package var segments: [Segment] { members.map(\.segment) }

    /// How many bytes the files take.
    package var fileBytes: UInt64 { members.reduce(0) { $0 + $1.segment.fileBytes } }

    /// Adds a segment that was written.
    ///
    /// - Parameter cut: the lowest index from which the log was truncated since the entries were handed to the writer.
    /// - Returns: the numbers of the segments that it replaces: they are no longer here, and their files are to be
    ///   removed.
    package mutating func add(_ segment: Segment, truncatedFrom cut: LogIndex? = nil) -> [UInt64] {
        let replaced = members.filter { segment.replaces($0.segment) }.map(\.segment.number)
        members.removeAll { segment.replaces($0.segment) }
        insert(segment, cut: cut)
        return replaced
    }

    /// Adds a segment beside those that it should replace.
    mutating func insert(_ segment: Segment, cut: LogIndex? = nil) {
        precondition(segment.uid == uid, "a segment of another server")
        precondition(!members.contains { $0.segment.number == segment.number }, "a segment that is here already")
        let place = members.firstIndex { $0.segment.isNewer(than: segment) } ?? members.count
        members.insert(Member(segment: segment, cut: cut ?? Segment.Hiding.never), at: place)
        reserve(through: segment.number)
        refresh()
    }

    /// Never gives out these numbers: a writer that failed may have left files that could not be removed.
    package mutating func reserve(through number: UInt64) { nextNumber = max(nextNumber, number + 1) }

    /// Shows no entries of the log from an index on. Segments that are added later are not concerned, nor are those
    /// that were compacted or installed: what they hold is committed, so that a truncation that seems to concern them
    /// was before them, and is told again by a replay.
    ///
    /// The cut is not in any file: until a segment that begins at or before it is durable, it must be kept elsewhere.
    package mutating func truncate(from index: LogIndex) {
        for place in members.indices where members[place].segment.kind == .flushed {
            members[place].cut = min(members[place].cut, index)
        }
        refresh()
    }

    /// Forgets segments whose files are removed next.
    package mutating func remove(numbers: [UInt64]) {
        members.removeAll { numbers.contains($0.segment.number) }
        refresh()
    }

    /// Forgets the segments that came with a snapshot which is not there.
    ///
    /// - Parameters:
    ///   - index: the last entry that the newest snapshot covers; zero when there is none.
    ///   - term: that entry's term.
    ///   - damaged: snapshots that are there and can't be read: their segments may be all that is left of them.
    /// - Returns: their numbers; the files are to be removed.
    package mutating func dropInstalled(
        exceptFor index: LogIndex, term: Term, damaged: [SnapshotFile] = []
    ) -> [UInt64] {
        let dropped = members.compactMap { member -> UInt64? in
            guard case .installed(let own, let ownTerm) = member.segment.kind else { return nil }
            let isKept =
                own < index || own == index && ownTerm == term
                || damaged.contains { $0.index == own && $0.term == ownTerm }
            return isKept ? nil : member.segment.number
        }
        remove(numbers: dropped)
        return dropped
    }

    private mutating func refresh() {
        var hidden = Segment.Hiding.nothing
        for place in members.indices.reversed() {
            let segment = members[place].segment
            let lower = max(segment.first, hidden.through.next)
            let upper = min(segment.last, min(hidden.from, members[place].cut).previous)
            members[place].range = lower <= upper ? lower...upper : nil
            hidden = hidden.union(segment.hiding)
        }
        shown = members.compactMap { member in
            guard member.segment.isReadable, let range = member.range else { return nil }
            return SegmentSlice(segment: member.segment, range: range)
        }
        shown.sort { $0.range.lowerBound < $1.range.lowerBound }
    }
}

extension Segment {
    /// Whether another segment's live entries are all in this one.
    func replaces(_ other: Segment) -> Bool {
        guard case .compacted(let orders) = kind else { return false }
        return orders.contains(other.order) && other.number < number
    }

    /// Orders segments; the number decides only between segments that damage has left side by side.
    func isNewer(than other: Segment) -> Bool {
        order != other.order ? order > other.order : number > other.number
    }
}

// MARK: - Looking up

extension SegmentSet {
    /// The segment that shows an index; a sparse one may not hold it, and then nobody does.
    package func lookUp(_ index: LogIndex) -> Segment? {
        let place = place(of: index)
        guard place < shown.count, shown[place].range.contains(index) else { return nil }
        return shown[place].segment
    }

    /// The last index of the log behind a floor, that is through which every entry is there; the floor when there is
    /// none.
    package func lastIndex(behind floor: LogIndex) -> LogIndex {
        slices(from: floor.next, through: Segment.Hiding.never.previous).last?.range.upperBound ?? floor
    }

    /// The last index that any segment shows at or before an index; zero when none does.
    package func lastShown(through index: LogIndex) -> LogIndex {
        shown.last { $0.range.lowerBound <= index }.map { min($0.range.upperBound, index) } ?? .zero
    }

    /// The first index of the last segments before an index that hold no more than some bytes together; behind it when
    /// the very last one holds more.
    package func start(ofBytes limit: Int, through last: LogIndex) -> LogIndex {
        var rest = limit
        var start = last.next
        for slice in shown.reversed() where slice.range.lowerBound <= last {
            guard slice.segment.entryBytes <= rest else { return start }
            rest -= slice.segment.entryBytes
            start = slice.range.lowerBound
        }
        return LogIndex(1)
    }

    /// Consecutive entries from an index on, through another or as far as they are there without a gap.
    package func slices(from: LogIndex, through: LogIndex) -> [SegmentSlice] {
        var slices: [SegmentSlice] = []
        var next = from
        var place = place(of: from)
        while place < shown.count, next <= through {
            let slice = shown[place]
            guard slice.segment.isDense, slice.range.contains(next) else { break }
            let end = min(slice.range.upperBound, through)
            slices.append(SegmentSlice(segment: slice.segment, range: next...end))
            next = end.next
            place += 1
        }
        return slices
    }

    /// The ranges behind a floor that are missing before entries that are shown.
    package func gaps(behind floor: LogIndex) -> [ClosedRange<LogIndex>] {
        var gaps: [ClosedRange<LogIndex>] = []
        var next = floor.next
        for slice in shown[place(of: next)...] {
            if slice.range.lowerBound > next { gaps.append(next...slice.range.lowerBound.previous) }
            next = slice.range.upperBound.next
        }
        return gaps
    }

    /// The terms of the log behind a floor.
    package func terms(behind floor: LogIndex) -> [Segment.TermRun] {
        var runs: [Segment.TermRun] = []
        for slice in slices(from: floor.next, through: Segment.Hiding.never.previous) {
            let own = slice.segment.termRuns
            for (place, run) in own.enumerated() {
                let end = place + 1 < own.count ? own[place + 1].first.previous : slice.segment.last
                let first = max(run.first, slice.range.lowerBound)
                guard first <= min(end, slice.range.upperBound), runs.last?.term != run.term else { continue }
                runs.append(Segment.TermRun(first: first, term: run.term))
            }
        }
        return runs
    }

    /// The configurations of the log behind a floor.
    package func configurations(behind floor: LogIndex) -> [Segment.StoredConfiguration] {
        slices(from: floor.next, through: Segment.Hiding.never.previous).flatMap { slice in
            slice.segment.configurations.filter { slice.range.contains($0.index) }
        }
    }

    /// The position in `shown` of the first range that does not end before an index.
    private func place(of index: LogIndex) -> Int {
        var low = 0
        var high = shown.count
        while low < high {
            let middle = (low + high) / 2
            if shown[middle].range.upperBound < index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
