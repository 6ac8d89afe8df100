import FlotillaStorage
import FlotillaWire
import Testing

@Suite struct NoticeTests {
    private func started() async throws -> TestLog {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        return log
    }

    @Test func aBatchTellsTheLastOfEachServerOnce() async throws {
        let log = try await started()
        await log.write(
            Sample.hardState(1, term: 1), Sample.entries(1, 1...2, term: 1), Sample.entries(2, 1...1, term: 1),
            Sample.entries(1, 3...4, term: 1), Sample.hardState(1, term: 2, vote: 1), .lastApplied(Sample.uid(1), 1))
        #expect(
            log.notices.last == [
                .hardState(Sample.uid(1), HardState(term: 2, vote: Sample.uid(1))),
                .entries(Sample.uid(1), epoch: .zero, through: 4, term: 1),
                .entries(Sample.uid(2), epoch: .zero, through: 1, term: 1),
            ])
    }

    @Test func aNoticeNamesTheEpochThatItsEntriesWereAppendedWith() async throws {
        let log = try await started()
        await log.write(
            Sample.entries(1, 1...10, term: 1), .truncated(Sample.uid(1), from: 4),
            Sample.entries(1, 4...5, term: 2, epoch: 1))
        #expect(log.notices.last == [.entries(Sample.uid(1), epoch: LogEpoch(1), through: 5, term: 2)])
        await log.write(Sample.entries(1, 6...6, term: 2, epoch: 1), .truncated(Sample.uid(1), from: 6))
        #expect(log.notices.last == [.entries(Sample.uid(1), epoch: LogEpoch(1), through: 6, term: 2)])
    }

    @Test func creationsDeletionsAndPeersAreTold() async throws {
        let log = try await started()
        #expect(log.notices == [[.serverCreated(Sample.uid(1)), .serverCreated(Sample.uid(2))]])
        await log.write(
            .peer(Sample.peer(1)), .peer(Sample.peer(2)),
            .serverDeleted(Sample.uid(2), Sample.clusterID, index: 1, term: 1))
        #expect(log.notices.last == [.peer(Sample.peer(1).nodeID), .serverDeleted(Sample.uid(2))])
    }

    @Test func nothingIsToldForASeal() async throws {
        let log = try await started()
        let before = log.notices.count
        #expect(log.log.wantsSeal)
        await log.seal()
        #expect(log.notices.count == before)
        #expect(!log.log.wantsSeal)
        await log.seal()
        #expect(log.log.status.batches == 2)
    }

    @Test func whatWaitsWhileABatchIsInFlightSharesTheNext() async throws {
        let log = try await started()
        // Nothing completes before `settle`, so the first is in flight while the others arrive.
        for index in 1...5 as ClosedRange<UInt64> { log.log.append([Sample.entries(1, index...index, term: 1)]) }
        await log.settle()
        #expect(
            log.notices.dropFirst() == [
                [.entries(Sample.uid(1), epoch: .zero, through: 1, term: 1)],
                [.entries(Sample.uid(1), epoch: .zero, through: 5, term: 1)],
            ])
        #expect(log.log.status.queuedBytes == 0)
    }

    @Test func `every record that was handed over is settled, also one that is told of nobody`() async throws {
        let log = try await started()
        #expect(log.log.status.settled == 2)
        let before = log.statuses.count
        await log.write(.lastApplied(Sample.uid(1), 1))
        #expect(log.statuses.count == before + 1)
        #expect(log.statuses.last?.settled == 3)
        await log.seal()
        #expect(log.log.status.settled == 3)
    }

    @Test func `nothing is settled before its batch is durable`() async throws {
        let log = try await started()
        log.log.append([Sample.hardState(1, term: 1), Sample.hardState(1, term: 2)])
        log.log.append([Sample.hardState(1, term: 3)])
        #expect(log.log.status.settled == 2)
        await log.settle()
        #expect(log.statuses.suffix(2).map(\.settled) == [4, 5])
    }

    @Test func `records of a deleted server are settled though nothing of them is written`() async throws {
        let log = try await started()
        await log.write(.serverDeleted(Sample.uid(2), Sample.clusterID, index: 1, term: 1))
        let batches = log.log.status.batches
        await log.write(.lastApplied(Sample.uid(2), 1), Sample.hardState(2, term: 1))
        #expect(log.log.status.batches == batches)
        #expect(log.statuses.last?.settled == 5)
    }

    @Test func `a run of entries that takes several batches is settled with its last part`() async throws {
        let log = try await started()
        // A batch takes a quarter of a file.
        await log.write(Sample.entries(1, 1...40, term: 1, body: 900))
        #expect(log.log.status.batches > 2)
        #expect(log.statuses.filter { $0.settled == 3 }.count == 1)
        #expect(log.statuses.last?.settled == 3)
    }
}
