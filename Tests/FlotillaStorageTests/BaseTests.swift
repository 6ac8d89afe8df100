import FlotillaStorage
import FlotillaWire
import Testing

/// The write-ahead log read over what stands in segments and snapshots already.
@Suite struct BaseTests {
    private func base(
        snapshot: SnapshotName = SnapshotName(index: .zero, term: .zero), through last: LogIndex,
        _ runs: [(first: LogIndex, term: Term)] = []
    ) -> [ServerUID: RecoveredBase] {
        var base = RecoveredBase()
        base.snapshot = snapshot
        base.lastIndex = last
        base.termRuns = runs
        return [Sample.uid(1): base]
    }

    private func read(
        _ bases: [ServerUID: RecoveredBase], _ records: WALRecord...
    ) async throws -> RecoveredServer {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        for record in records { await log.write(record) }
        return try #require(try await recover(log.disk, bases: bases).node.servers.first)
    }

    private func runs(_ server: RecoveredServer) -> [UInt64] {
        server.termRuns.flatMap { [$0.first.rawValue, $0.term.rawValue] }
    }

    @Test func entriesThatAreInSegmentsAreNotTakenIntoMemoryAgain() async throws {
        let bases = base(through: 10, [(1, 1), (6, 2)])
        let server = try await read(bases, Sample.entries(1, 1...5, term: 1), Sample.entries(1, 6...12, term: 2))
        #expect(server.table.firstIndex == 11 && server.table.lastIndex == 12)
        #expect(runs(server) == [1, 1, 6, 2])
        let same = try await read(bases, Sample.entries(1, 3...5, term: 1))
        #expect(same.table.isEmpty && same.table.lastIndex == 10, "an old record shortens nothing")
    }

    @Test func entriesOfAnotherTermReplaceThoseInSegments() async throws {
        let bases = base(through: 10, [(1, 1), (6, 2)])
        let server = try await read(bases, Sample.entries(1, 8...9, term: 3))
        #expect(server.table.firstIndex == 8 && server.table.lastIndex == 9)
        #expect(runs(server) == [1, 1, 6, 2, 8, 3])
        let partly = try await read(bases, Sample.entries(1, 4...5, term: 1), Sample.entries(1, 6...7, term: 1))
        #expect(partly.table.firstIndex == 6 && runs(partly) == [1, 1])
    }

    @Test func aTruncationCutsWhatSegmentsShow() async throws {
        let bases = base(through: 10, [(1, 1), (6, 2)])
        let server = try await read(bases, .truncated(Sample.uid(1), from: 5))
        #expect(server.table.isEmpty && server.table.lastIndex == 4 && runs(server) == [1, 1])
        let again = try await read(bases, .truncated(Sample.uid(1), from: 5), Sample.entries(1, 5...6, term: 3))
        #expect(again.table.firstIndex == 5 && runs(again) == [1, 1, 5, 3])
    }

    @Test func whatASnapshotCoversIsSkippedAlsoInTheMiddleOfARecord() async throws {
        let bases = base(snapshot: SnapshotName(index: 20, term: 2), through: 20)
        let server = try await read(
            bases, Sample.entries(1, 4...9, term: 1), Sample.entries(1, 15...23, term: 2),
            .lastApplied(Sample.uid(1), 22))
        #expect(server.snapshot.index == 20)
        #expect(server.table.firstIndex == 21 && server.table.lastIndex == 23)
        #expect(runs(server) == [21, 2] && server.lastApplied == 22)
    }

    @Test func aLogThatTheSnapshotSupersededIsGoneWhole() async throws {
        let bases = base(snapshot: SnapshotName(index: 20, term: 5), through: 20)
        let superseded = try await read(
            bases, Sample.entries(1, 15...23, term: 2), Sample.entries(1, 24...25, term: 2))
        #expect(superseded.table.isEmpty && superseded.table.lastIndex == 20 && runs(superseded).isEmpty)
        let installed = try await read(
            bases, Sample.entries(1, 15...23, term: 2), .truncated(Sample.uid(1), from: 21),
            .snapshotFloor(Sample.uid(1), 20, 5), Sample.entries(1, 21...22, term: 6))
        #expect(installed.table.firstIndex == 21 && installed.table.lastIndex == 22 && runs(installed) == [21, 6])
    }

    /// The segments that came with the snapshot stand in front of the one that held the log's entry at its end.
    @Test func aLogThatWasSupersededIsKnownByWhatFollowsTheSnapshot() async throws {
        let older = base(snapshot: SnapshotName(index: 20, term: 5), through: 22, [(21, 4)])
        let superseded = try await read(older, Sample.entries(1, 23...24, term: 4))
        #expect(superseded.table.isEmpty && superseded.table.lastIndex == 20 && runs(superseded).isEmpty)
        let newer = base(snapshot: SnapshotName(index: 20, term: 5), through: 22, [(21, 5)])
        let kept = try await read(newer, Sample.entries(1, 23...24, term: 6))
        #expect(kept.table.lastIndex == 24 && runs(kept) == [21, 5, 23, 6])
    }

    @Test func whatTheSnapshotCoversStaysInMemoryUntilItIsInSegments() async throws {
        let bases = base(snapshot: SnapshotName(index: 20, term: 2), through: 12)
        let server = try await read(
            bases, Sample.entries(1, 8...15, term: 2), Sample.entries(1, 16...23, term: 2),
            .snapshotFloor(Sample.uid(1), 20, 2))
        #expect(server.table.firstIndex == 13 && server.table.lastIndex == 23)
        let rewritten = try await read(
            bases, Sample.entries(1, 13...22, term: 1), Sample.entries(1, 15...21, term: 2))
        #expect(
            rewritten.table.firstIndex == 13 && rewritten.table.lastIndex == 21, "the last record of an entry counts")
        let later = try await read(
            base(snapshot: SnapshotName(index: 20, term: 2), through: 0), Sample.entries(1, 18...23, term: 2))
        #expect(later.table.firstIndex == 18 && later.table.lastIndex == 23)
    }

    @Test func entriesThatWereWrittenOnceMoreFillTheGapBeforeLaterOnes() async throws {
        for snapshot in [0, 14] as [UInt64] {
            let name = SnapshotName(index: LogIndex(snapshot), term: snapshot == 0 ? 0 : 1)
            let server = try await read(
                base(snapshot: name, through: 10), Sample.entries(1, 13...14, term: 1),
                Sample.entries(1, 11...15, term: 1))
            #expect(server.table.firstIndex == 11 && server.table.lastIndex == 15)
            #expect(runs(server) == [11, 1])
        }
    }

    @Test func entriesThatTheSnapshotCoversMayBeWrittenOnceMoreBehindItsNotice() async throws {
        let server = try await read(
            base(snapshot: SnapshotName(index: 14, term: 1), through: 0), .snapshotFloor(Sample.uid(1), 14, 1),
            Sample.entries(1, 1...9, term: 1), Sample.entries(1, 10...15, term: 1))
        #expect(server.table.firstIndex == 1 && server.table.lastIndex == 15)
        #expect(runs(server) == [1, 1])
    }

    @Test func recordsOlderThanTheSegmentsAreSupersededOnceMore() async throws {
        let server = try await read(
            base(through: 50, [(1, 1), (28, 3)]), Sample.entries(1, 32...33, term: 1),
            .truncated(Sample.uid(1), from: 28), Sample.entries(1, 28...40, term: 3),
            Sample.entries(1, 41...52, term: 3))
        #expect(server.table.firstIndex == 28 && server.table.lastIndex == 52)
        #expect(runs(server) == [1, 1, 28, 3])
    }

    @Test func segmentsOlderThanARecordGiveWayToWhatIsWrittenOnceMore() async throws {
        let server = try await read(
            base(through: 50, [(1, 1), (26, 4), (31, 5)]), Sample.entries(1, 40...43, term: 4),
            Sample.entries(1, 31...39, term: 4), Sample.entries(1, 40...44, term: 4))
        #expect(server.table.firstIndex == 31 && server.table.lastIndex == 44)
        #expect(runs(server) == [1, 1, 26, 4])
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 40...43, term: 4))
        let bases = base(through: 50, [(1, 1), (26, 4), (31, 5)])
        let found = try await recover(log.disk, bases: bases).node
        #expect(found.servers.isEmpty && found.lost.first?.damage?.entries == 31...39, "without that they are missing")
    }

    @Test func whatIsWrittenOnceMoreOnlyInPartLosesNothingBehindIt() async throws {
        for end in [2, 5] as [UInt64] {
            let server = try await read(
                base(through: 0), Sample.entries(1, 1...5, term: 1), Sample.entries(1, 6...12, term: 2),
                Sample.entries(1, 1...end, term: 1))
            #expect(server.table.firstIndex == 1 && server.table.lastIndex == 12)
            #expect(runs(server) == [1, 1, 6, 2])
        }
        let more = try await read(
            base(through: 0), Sample.entries(1, 1...5, term: 1), Sample.entries(1, 6...12, term: 2),
            Sample.entries(1, 1...5, term: 1), Sample.entries(1, 6...9, term: 2), Sample.entries(1, 10...15, term: 2))
        #expect(more.table.lastIndex == 15 && runs(more) == [1, 1, 6, 2])
        // Another term is another entry, and what follows is truncated.
        let other = try await read(
            base(through: 0), Sample.entries(1, 1...12, term: 1), Sample.entries(1, 4...6, term: 2))
        #expect(other.table.lastIndex == 6 && runs(other) == [1, 1, 4, 2])
    }

    @Test func onlyAPartOfWhatTheSnapshotCoversMayBeWrittenOnceMore() async throws {
        let server = try await read(
            base(snapshot: SnapshotName(index: 14, term: 1), through: 3), .snapshotFloor(Sample.uid(1), 14, 1),
            Sample.entries(1, 9...15, term: 1))
        #expect(server.table.firstIndex == 9 && server.table.lastIndex == 15)
        #expect(runs(server) == [9, 1])
    }

    @Test func aTruncationThatASnapshotWentPastIsNotRepeatedAsItWas() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...9, term: 1))
        await log.write(
            .truncated(Sample.uid(1), from: 5), .snapshotFloor(Sample.uid(1), 12, 2),
            Sample.entries(1, 13...13, term: 2))
        var index: UInt64 = 14
        while log.log.status.files < 4 {
            await log.write(Sample.entries(1, index...index, term: 2, body: 4_000))
            index += 1
        }
        // Only what the last file's checkpoint repeats is left; the log itself is in segments.
        log.log.append([.filesReleased(oldest: 2)])
        await log.settle()
        var all = RecoveredBase()
        all.snapshot = SnapshotName(index: 12, term: 2)
        all.lastIndex = LogIndex(index - 1)
        all.termRuns = [(13, 2)]
        let server = try #require(try await recover(log.disk, bases: [Sample.uid(1): all]).node.servers.first)
        #expect(server.table.lastIndex == LogIndex(index - 1))
    }

    @Test func entriesThatLeaveAGapBehindTheBaseAreDamage() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 12...13, term: 1))
        let found = try await recover(log.disk, bases: base(through: 10, [(1, 1)])).node
        #expect(found.servers.isEmpty)
        #expect(found.lost.first?.damage?.kind == .gap && found.lost.first?.damage?.entries == 11...11)
    }
}
