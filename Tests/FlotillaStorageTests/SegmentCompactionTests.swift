import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Testing

@Suite struct SegmentCompactionTests {
    private let limits = SegmentLimits(maxBytes: 4_000, maxEntries: 20)
    private let live = LiveIndexes([2, 3, 11, 25, 26, 27, 38].map { LogIndex($0) })

    /// Forty entries in four segments, of which the last is overwritten from 36 on, and ten behind a snapshot.
    private func filled() async throws -> (SegmentDisk, SegmentSet) {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...40, term: 1, number: 1, limits: SegmentLimits(maxEntries: 10))
        try await disk.write(36...50, term: 2, number: 5)
        return (disk, try await disk.load().set)
    }

    private func expected(_ index: LogIndex) -> SegmentEntry {
        let index = index.rawValue
        return .entry(Sample.entryBytes(index...index, term: index < 36 ? 1 : 2))
    }

    private func expectAll(_ disk: SegmentDisk, _ set: SegmentSet, _ comment: Comment = "") async {
        for index in live.ascending + (41...50).map({ LogIndex($0) }) {
            #expect(await disk.entry(index, set) == expected(index), comment)
        }
        #expect(set.lastIndex(behind: 40) == 50, comment)
    }

    @Test func whatIsLiveIsCopiedAndTheRestGoes() async throws {
        var (disk, set) = try await filled()
        let group = try #require(set.compactionGroups(through: 40, live: live, limits: limits).first)
        #expect(group.segments.map(\.number) == [1, 2, 3, 4])
        let compactor = SegmentCompactor(disk.segments, limits: limits)
        let new = try #require(try await compactor.rewrite(group, live: live, into: set.nextNumber, salt: 5))
        #expect(new.kind == .compacted(replaces: 1...4) && new.order == 1 && new.number == 6)
        // 38 is shown by the segment that overwrote it, which is not in the group.
        #expect(new.count == 6 && new.termRuns == [Segment.TermRun(first: 2, term: 1)])
        let old = set.add(new)
        #expect(old == [1, 2, 3, 4])
        await expectAll(disk, set)
        try await disk.segments.remove(old)
        await disk.reader.forget(SegmentDisk.uid, numbers: old)
        let loaded = try await disk.load()
        #expect(loaded.set.segments == set.segments && loaded.damages.isEmpty)
        await expectAll(disk, loaded.set)
        for index in [1, 4, 24, 28] as [LogIndex] { #expect(await disk.entry(index, loaded.set) == .missing) }
    }

    @Test func aGroupThatDoesNotFitIsRewrittenInPart() async throws {
        let (disk, set) = try await filled()
        let group = try #require(set.compactionGroups(through: 40, live: live, limits: limits).first)
        let small = SegmentLimits(maxBytes: 4_000, maxEntries: 4)
        let new = try await SegmentCompactor(disk.segments, limits: small)
            .rewrite(group, live: live, into: 6, salt: 5)
        #expect(new?.kind == .compacted(replaces: 1...2) && new?.count == 3)
    }

    @Test func aGroupWithoutLiveEntriesLeavesNoFile() async throws {
        let (disk, set) = try await filled()
        let group = try #require(set.compactionGroups(through: 40, live: live, limits: limits).first)
        let new = try await SegmentCompactor(disk.segments).rewrite(group, live: LiveIndexes(), into: 6, salt: 5)
        #expect(new == nil && disk.names.count == 5)
    }

    @Test func aDamagedEntryStopsIt() async throws {
        let (whole, _) = try await filled()
        let disk = whole.changed(3) { $0[4_096 + 5 * 60 + 50] ^= 1 }
        let set = try await disk.load().set
        let group = try #require(set.compactionGroups(through: 40, live: live, limits: limits).first)
        let error = await #expect(throws: StorageError.self) {
            try await SegmentCompactor(disk.segments).rewrite(group, live: live, into: 6, salt: 5)
        }
        #expect(error?.code == .corrupt && error?.damages.map(\.entries) == [26...26])
        #expect(disk.names.count == 5)
        // Damage to what nobody needs does not.
        let other = whole.changed(3) { $0[4_096 + 50] ^= 1 }
        #expect(try await SegmentCompactor(other.segments).rewrite(group, live: live, into: 6, salt: 5)?.count == 6)
    }

    @Test(arguments: ["read", "write", "sync", "rename", "open"])
    func aFailureLeavesTheGroupAsItWas(operation: String) async throws {
        let (disk, set) = try await filled()
        let group = try #require(set.compactionGroups(through: 40, live: live, limits: limits).first)
        let names = disk.names
        disk.disk.fail(operation, on: operation == "read" ? ".seg" : ".tmp", errno: EIO)
        await #expect(throws: StorageError.self) {
            try await SegmentCompactor(disk.segments).rewrite(group, live: live, into: 6, salt: 5)
        }
        disk.disk.heal()
        #expect(disk.names == names)
        await expectAll(disk, try await disk.load().set)
    }

    /// What was rewritten is rewritten again, with what came behind it.
    @Test func compactedSegmentsAreCompacted() async throws {
        var (disk, set) = try await filled()
        let compactor = SegmentCompactor(disk.segments, limits: limits)
        for (snapshot, live) in [(40, live), (50, LiveIndexes([3, 26, 38, 44]))] as [(LogIndex, LiveIndexes)] {
            for group in set.compactionGroups(through: snapshot, live: live, limits: limits) {
                let new = try await compactor.rewrite(group, live: live, into: set.nextNumber, salt: 5)
                try await disk.segments.remove(set.add(try #require(new)))
            }
        }
        #expect(set.segments.map(\.number) == [7] && set.segments.map(\.order) == [1])
        #expect(set.segments.first?.kind == .compacted(replaces: 1...5))
        let loaded = try await disk.load().set
        #expect(loaded.segments == set.segments)
        for index in [3, 26, 38, 44] as [LogIndex] { #expect(await disk.entry(index, loaded) == expected(index)) }
    }
}
