import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@Suite struct SegmentSetTests {
    private let limits = SegmentLimits(maxBytes: 60_000, maxEntries: 1_000)

    private func ranges(_ slices: [SegmentSlice]) -> [[UInt64]] {
        slices.map { [$0.segment.number, $0.range.lowerBound.rawValue, $0.range.upperBound.rawValue] }
    }

    /// 1 to 10 of term 1, overwritten from 6 on by term 2.
    private func overwritten() async throws -> (SegmentDisk, SegmentSet) {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...10, term: 1, number: 1)
        try await disk.write(6...12, term: 2, number: 2)
        return (disk, try await disk.load().set)
    }

    @Test func theNewerSegmentWinsFromItsFirstEntryOn() async throws {
        let (disk, set) = try await overwritten()
        #expect(ranges(set.slices(from: 1, through: 100)) == [[1, 1, 5], [2, 6, 12]])
        #expect(ranges(set.slices(from: 4, through: 7)) == [[1, 4, 5], [2, 6, 7]])
        #expect(set.lastIndex(behind: .zero) == 12 && set.lastIndex(behind: 12) == 12)
        #expect(
            set.terms(behind: 3) == [Segment.TermRun(first: 4, term: 1), Segment.TermRun(first: 6, term: 2)])
        #expect(
            try await disk.log(set) == Sample.entryBytes(1...5, term: 1).array
                + Sample.entryBytes(6...12, term: 2).array)
    }

    @Test func aTruncationCutsWhatIsThereAndNotWhatComes() async throws {
        var (disk, set) = try await overwritten()
        set.truncate(from: 4)
        #expect(set.lastIndex(behind: .zero) == 3 && set.lookUp(4) == nil && set.terms(behind: 3).isEmpty)
        let next = try await disk.write(4...5, term: 3, number: set.nextNumber)
        _ = set.add(next[0])
        #expect(ranges(set.slices(from: 1, through: 100)) == [[1, 1, 3], [3, 4, 5]])
        // A truncation while the entries were on their way to the file.
        let late = try await disk.write(6...9, term: 3, number: set.nextNumber)
        _ = set.add(late[0], truncatedFrom: 8)
        #expect(set.lastIndex(behind: .zero) == 7)
        // From the files alone all of it is seen but what the cut hides; so it must stand elsewhere.
        let again = try await disk.load().set
        #expect(again.lastIndex(behind: .zero) == 9 && again.lookUp(10) == nil)
    }

    @Test func aGapEndsTheLogAndIsTold() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...30, term: 1, number: 1, limits: SegmentLimits(maxEntries: 10))
        disk.disk.move(disk.segments.path(2), to: nil)
        let set = try await disk.load().set
        #expect(set.lastIndex(behind: .zero) == 10 && set.lastIndex(behind: 20) == 30)
        #expect(set.gaps(behind: .zero) == [11...20] && set.gaps(behind: 20).isEmpty)
        #expect(set.slices(from: 11, through: 30).isEmpty)
    }

    @Test func whereTheLastSoManyBytesBegin() async throws {
        let disk = try await SegmentDisk.make()
        // Of 60 bytes each.
        try await disk.write(1...30, term: 1, number: 1, limits: SegmentLimits(maxEntries: 10))
        let set = try await disk.load().set
        #expect(set.start(ofBytes: 599, through: 30) == 31)
        #expect(set.start(ofBytes: 600, through: 30) == 21 && set.start(ofBytes: 600, through: 25) == 21)
        #expect(set.start(ofBytes: 1_199, through: 30) == 21 && set.start(ofBytes: 1_200, through: 30) == 11)
        #expect(set.start(ofBytes: 600, through: 20) == 11)
        #expect(set.start(ofBytes: 5_000, through: 30) == 1)
    }

    @Test func segmentsBelowASnapshotWithoutLiveEntriesCanGo() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...30, term: 1, number: 1, limits: SegmentLimits(maxEntries: 10))
        var set = try await disk.load().set
        #expect(set.disposable(through: 9, live: LiveIndexes()).isEmpty)
        #expect(set.disposable(through: 20, live: LiveIndexes()) == [1, 2])
        #expect(set.disposable(through: 20, live: LiveIndexes([3])) == [2])
        #expect(set.disposable(through: 30, live: LiveIndexes([3, 30])) == [2])
        set.remove(numbers: [1, 2])
        try await disk.segments.remove([1, 2])
        #expect(disk.names.count == 1 && set.nextNumber == 4)
        #expect(try await disk.load().set.segments == set.segments)
        #expect(set.lastIndex(behind: 20) == 30)
    }

    @Test func aSegmentStaysWhileItHidesWhatAnOlderOneHolds() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...10, term: 1, number: 1)
        try await disk.write(6...7, term: 2, number: 2)
        var set = try await disk.load().set
        // Without the second, the first would show 8 to 10 again, which were never committed.
        #expect(set.disposable(through: 7, live: LiveIndexes([2])).isEmpty)
        #expect(set.disposable(through: 7, live: LiveIndexes()) == [1])
        set.remove(numbers: [1])
        #expect(set.disposable(through: 7, live: LiveIndexes()) == [2])
        // As soon as a third hides that, the second can go.
        var other = try await disk.load().set
        _ = other.add(try await disk.write(8...20, term: 2, number: 3)[0])
        #expect(other.disposable(through: 7, live: LiveIndexes([2])) == [2])
    }

    @Test func thinSegmentsAndManySmallOnesAreRewritten() async throws {
        let disk = try await SegmentDisk.make()
        for number in 1...4 as ClosedRange<UInt64> {
            try await disk.write(number * 1_000 - 999...number * 1_000, term: 1, number: number, limits: limits)
        }
        let set = try await disk.load().set
        let few = LiveIndexes([5, 1_500, 2_001, 3_999].map { LogIndex($0) })
        func numbers(_ live: LiveIndexes, _ snapshot: LogIndex, _ limits: SegmentLimits) -> [[UInt64]] {
            set.compactionGroups(through: snapshot, live: live, limits: limits).map { $0.segments.map(\.number) }
        }
        #expect(numbers(few, 4_000, limits) == [[1, 2, 3, 4]])
        #expect(numbers(few, 2_500, limits) == [[1, 2]])
        #expect(numbers(few, 4_000, SegmentLimits(maxBytes: 60_000, maxEntries: 2)) == [[1, 2], [3, 4]])
        #expect(numbers(LiveIndexes(), 4_000, limits).isEmpty)
        // A full one in between stays.
        let full = LiveIndexes([5, 2_001, 3_999].map { LogIndex($0) } + (1_001...2_000).map { LogIndex($0) })
        #expect(numbers(full, 4_000, limits) == [[1], [3, 4]])
        #expect(numbers(LiveIndexes((1...4_000).map { LogIndex($0) }), 4_000, limits).isEmpty)
    }

    @Test func smallSegmentsAreRewrittenOnceThereAreMany() async throws {
        let disk = try await SegmentDisk.make()
        let live = LiveIndexes((1...80).map { LogIndex($0) })
        var set = SegmentSet(uid: SegmentDisk.uid)
        for number in 1...8 as ClosedRange<UInt64> {
            #expect(set.compactionGroups(through: 80, live: live, limits: limits).isEmpty)
            _ = set.add(try await disk.write(number * 10 - 9...number * 10, term: 1, number: number)[0])
        }
        let groups = set.compactionGroups(through: 80, live: live, limits: limits)
        #expect(groups.map(\.segments.count) == [8])
    }

    /// A snapshot was installed over the beginning of a log whose end was kept: what is adjacent in age is not
    /// adjacent in the log.
    @Test func segmentsBetweenWhichAnotherIsShownAreNotRewrittenTogether() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...100, term: 1, number: 1)
        var sequence = SegmentWriter(disk.segments).begin(installing: 80, term: 1, from: 2, salt: 1)
        for index in [5, 70] as [UInt64] { try await sequence.append(Sample.entryBytes(index...index, term: 1)) }
        _ = try await sequence.finish()
        try await disk.write(101...120, term: 1, number: 3)
        let set = try await disk.load().set
        #expect(ranges(set.slices(from: 81, through: 200)) == [[1, 81, 100], [3, 101, 120]])
        let live = LiveIndexes([5, 70, 90, 110])
        let groups = set.compactionGroups(through: 120, live: live, limits: limits)
        #expect(groups.map { $0.segments.map(\.number) } == [[1], [3]])
    }
}
