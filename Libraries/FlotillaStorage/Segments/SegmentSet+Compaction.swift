import FlotillaWire

/// Segments that are to be rewritten as one.
package struct SegmentGroup: Sendable, Equatable {
    /// A segment, and what it shows.
    struct Member: Sendable, Equatable {
        var segment: Segment
        var range: ClosedRange<LogIndex>?
    }

    /// Adjacent segments, oldest first; what they show ascends.
    let members: [Member]

    /// The segments, oldest first.
    package var segments: [Segment] { members.map(\.segment) }
}

/// Which segments can go, and which are worth rewriting, once a snapshot covers what they hold.
extension SegmentSet {
    /// How many small segments are worth rewriting as one.
    static let manySegments = 8

    /// Minor compaction: the segments all of whose shown entries lie at or before a snapshot and are not live.
    ///
    /// One that hides what an older one holds behind the snapshot, or a live entry, stays until that is gone: its own
    /// removal would show it again. So this may give more once the first ones are removed.
    ///
    /// - Parameters:
    ///   - snapshot: the last entry that a durable snapshot covers.
    ///   - live: the entries up to there that the machine still needs.
    /// - Returns: their numbers; remove them from the set, then their files.
    package func disposable(through snapshot: LogIndex, live: LiveIndexes) -> [UInt64] {
        let candidates = Set(members.indices.filter { isDisposable(members[$0], snapshot, live) })
        guard !candidates.isEmpty else { return [] }
        var blocked: Set<Int> = []
        var kept = Segment.Hiding.nothing
        for place in members.indices.reversed() {
            let member = members[place]
            for range in rangesShownAgain(of: member, hidden: kept)
            where range.upperBound > snapshot || !live.within(range.lowerBound, through: range.upperBound).isEmpty {
                for newer in members.indices[(place + 1)...]
                where candidates.contains(newer) && members[newer].segment.hiding.concerns(range) {
                    blocked.insert(newer)
                }
            }
            if !candidates.contains(place) { kept = kept.union(member.segment.hiding) }
        }
        return members.indices.filter { candidates.contains($0) && !blocked.contains($0) }
            .map { members[$0].segment.number }
    }

    private func isDisposable(_ member: Member, _ snapshot: LogIndex, _ live: LiveIndexes) -> Bool {
        guard let range = member.range else { return true }
        return range.upperBound <= snapshot && live.within(range.lowerBound, through: range.upperBound).isEmpty
    }

    /// What a segment would show that it does not show now, if newer ones hid no more than `hidden`. A truncation is
    /// in no file, so it does not count here.
    private func rangesShownAgain(of member: Member, hidden: Segment.Hiding) -> [ClosedRange<LogIndex>] {
        let segment = member.segment
        let lower = max(segment.first, hidden.through.next)
        let upper = min(segment.last, hidden.from.previous)
        guard lower <= upper else { return [] }
        guard let range = member.range else { return [lower...upper] }
        var ranges: [ClosedRange<LogIndex>] = []
        if lower < range.lowerBound { ranges.append(lower...range.lowerBound.previous) }
        if upper > range.upperBound { ranges.append(range.upperBound.next...upper) }
        return ranges
    }

    /// Major compaction: runs of adjacent segments at or before a snapshot of which fewer than half of the entries are
    /// live, or that are many and small.
    ///
    /// What each group leaves is estimated to fit into one segment; the writer takes fewer segments of it if it does
    /// not. Take the disposable ones away first.
    ///
    /// - Parameters:
    ///   - snapshot: the last entry that a durable snapshot covers.
    ///   - live: the entries up to there that the machine still needs.
    package func compactionGroups(
        through snapshot: LogIndex, live: LiveIndexes, limits: SegmentLimits = SegmentLimits()
    ) -> [SegmentGroup] {
        let weighed = weighed(through: snapshot, live: live, limits: limits)
        var groups: [SegmentGroup] = []
        for run in runs(weighed, limits: limits, where: { $0.isThin || $0.isSmall }) {
            let part = weighed[run].compactMap { $0 }
            if part.isWorthwhile {
                groups.append(part.group)
            } else {
                let thin = runs(Array(weighed[run]), limits: limits, where: \.isThin)
                groups += thin.map { weighed[run].dropFirst($0.lowerBound).prefix($0.count).compactMap { $0 }.group }
            }
        }
        return groups.filter { group in
            group.members.contains { member in
                member.range.map { !live.within($0.lowerBound, through: $0.upperBound).isEmpty } ?? false
            }
        }
    }

    /// Every member with its weight; `nil` for those that must stay as they are.
    private func weighed(
        through snapshot: LogIndex, live: LiveIndexes, limits: SegmentLimits
    ) -> [WeighedSegment?] {
        var places: [UInt64: Int] = [:]
        for (place, slice) in shown.enumerated() { places[slice.segment.number] = place }
        return members.map { member in
            guard member.segment.isReadable, member.range.map({ $0.upperBound <= snapshot }) ?? true else { return nil }
            let count = member.range.map { live.within($0.lowerBound, through: $0.upperBound).count } ?? 0
            return WeighedSegment(
                member: SegmentGroup.Member(segment: member.segment, range: member.range),
                place: places[member.segment.number], live: min(count, member.segment.count), limits: limits)
        }
    }

    /// The longest runs of members of a sort that fit into one segment, and between which nothing else is shown.
    private func runs(
        _ weighed: [WeighedSegment?], limits: SegmentLimits, where isWanted: (WeighedSegment) -> Bool
    ) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = 0
        var count = 0
        var bytes = 0
        var last: Int?
        func close(at end: Int) {
            if end > start { runs.append(start..<end) }
            count = 0
            bytes = 0
            last = nil
        }
        for (position, found) in weighed.enumerated() {
            guard let found, isWanted(found) else {
                close(at: position)
                start = position + 1
                continue
            }
            let follows = found.place == nil || last == nil || found.place == last.map { $0 + 1 }
            if !follows || count + found.live > limits.maxEntries || bytes + found.liveBytes > limits.maxBytes {
                close(at: position)
                start = position
            }
            count += found.live
            bytes += found.liveBytes
            last = found.place ?? last
        }
        close(at: weighed.count)
        return runs
    }
}

/// A segment and how much of it is live.
private struct WeighedSegment {
    let member: SegmentGroup.Member
    /// Where its range stands among all that are shown.
    let place: Int?
    let live: Int
    /// About how many bytes the live entries take, as if all were of one length.
    let liveBytes: Int
    let isThin: Bool
    let isSmall: Bool

    init(member: SegmentGroup.Member, place: Int?, live: Int, limits: SegmentLimits) {
        self.member = member
        self.place = place
        self.live = live
        let segment = member.segment
        liveBytes = segment.entryBytes * live / segment.count
        isThin = live * 2 < segment.count
        isSmall =
            live <= limits.maxEntries / SegmentSet.manySegments
            && liveBytes <= limits.maxBytes / SegmentSet.manySegments
    }
}

extension [WeighedSegment] {
    /// Whether rewriting them frees more than it copies, or makes one of many.
    fileprivate var isWorthwhile: Bool {
        let all = reduce(0) { $0 + $1.member.segment.entryBytes }
        return count >= SegmentSet.manySegments || reduce(0) { $0 + $1.liveBytes } < all / 2
    }

    fileprivate var group: SegmentGroup { SegmentGroup(members: map(\.member)) }
}

extension Segment.Hiding {
    /// Whether any entry of a range of an older segment is hidden.
    fileprivate func concerns(_ range: ClosedRange<LogIndex>) -> Bool {
        range.lowerBound <= through || range.upperBound >= from
    }
}
