import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@Suite struct RecoveryTests {
    @Test func everythingWrittenIsReadAgain() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        await log.write(Sample.hardState(1, term: 3, vote: 1), Sample.entries(1, 1...3, term: 3))
        await log.write(Sample.entries(1, 4...5, term: 4), .lastApplied(Sample.uid(1), 2), .peer(Sample.peer(9)))
        await log.write(.serverDeleted(Sample.uid(2), Sample.clusterID, index: 7, term: 3))
        let (node, values, _) = try await recover(log.disk)
        #expect(values.servers.count == 1)
        #expect(values.servers[0].hardState == HardState(term: 3, vote: Sample.uid(1)))
        #expect(values.servers[0].last == 5)
        #expect(values.servers[0].runs == [1, 3, 4, 4])
        #expect(values.servers[0].lastApplied == 2)
        #expect(values.servers[0].configurations == [0])
        #expect(values.peers == [Sample.peer(9)])
        #expect(values.tombstones.map(\.uid) == [Sample.uid(2)])
        #expect(node.report.files == 1)
        #expect(node.report.batches == 4)
        #expect(node.report.tornBytes == 0)
    }

    @Test func anEmptyDirectoryGivesAnEmptyNode() async throws {
        let log = try await TestLog()
        let (node, values, _) = try await recover(log.disk)
        #expect(values.servers.isEmpty)
        #expect(node.report.files == 0)
    }

    @Test func recoveryIsIdempotentAndMakesWhatItReadDurable() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        let first = try await recover(log.disk)
        let second = try await recover(first.disk)
        #expect(first.values == second.values)
        #expect(first.disk.journal == ["sync \(TestLog.directory)", "sync \(log.path(1))"])
    }

    @Test func theLogGoesOnBehindWhatWasRecovered() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        let first = try await recover(log.disk)
        let next = try await TestLog(on: first.disk, start: first.node.start)
        await next.write(Sample.entries(1, 4...6, term: 2))
        let (node, values, _) = try await recover(next.disk)
        #expect(values.servers[0].last == 6)
        #expect(node.report.files == 1)
    }

    @Test func aTruncationAndAnOverwriteAreReplayedExactly() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...10, term: 1))
        await log.write(.truncated(Sample.uid(1), from: 6))
        #expect(try await recover(log.disk).values.servers[0].last == 5)
        await log.write(Sample.entries(1, 4...7, term: 2, epoch: 1))
        let values = try await recover(log.disk).values
        #expect(values.servers[0].last == 7)
        #expect(values.servers[0].runs == [1, 1, 4, 2])
        var expected = Sample.entryBytes(1...3, term: 1)
        expected.writeImmutableBuffer(Sample.entryBytes(4...7, term: 2))
        #expect(values.servers[0].bytes == Array(expected.readableBytesView))
    }

    @Test func aConfigurationIsFoundAndUndoneWithItsEntry() async throws {
        let log = try await TestLog()
        var body = Sample.entryBytes(1...1, term: 1)
        body.clear()
        Sample.configuration(1).encode(into: &body)
        let entry = Sample.entry(2, term: 1, body: body, kind: .configuration)
        let record = EntriesRecord(
            uid: Sample.uid(1), epoch: .zero, first: 2, count: 1, lastTerm: 1, bytes: entry)
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...1, term: 1), .entries(record))
        #expect(try await recover(log.disk).values.servers[0].configurations == [0, 2])
        await log.write(Sample.entries(1, 2...2, term: 2, epoch: 1))
        #expect(try await recover(log.disk).values.servers[0].configurations == [0])
    }

    @Test func aLogThatASnapshotOvertookBeginsBehindIt() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        await log.write(.snapshotFloor(Sample.uid(1), 20, 2), Sample.entries(1, 21...22, term: 2))
        let server = try await recover(log.disk).values.servers[0]
        #expect(server.first == 21 && server.last == 22)
        #expect(server.floor == 20)
    }

    @Test func aServerWithAGapIsLost() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        await log.write(Sample.entries(1, 5...6, term: 1))
        let found = try await recover(log.disk).node
        #expect(found.servers.isEmpty)
        #expect(found.lost.map(\.uid) == [Sample.uid(1)])
        #expect(found.lost.first?.damage?.kind == .gap && found.lost.first?.damage?.entries == 4...4)
    }

    @Test func whatIsLostStaysLost() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        await log.write(Sample.entries(1, 1...3, term: 1), .serverLost(Sample.uid(1)))
        // What is still on its way of it is dropped.
        await log.write(Sample.entries(1, 4...5, term: 1), Sample.entries(2, 1...2, term: 1))
        var index: UInt64 = 3
        while log.log.status.files < 4 {
            await log.write(Sample.entries(2, index...index, term: 1, body: 4_000))
            index += 1
        }
        log.log.append([.filesReleased(oldest: 2)])
        await log.settle()
        var base = RecoveredBase()
        base.lastIndex = LogIndex(index - 1)
        base.termRuns = [(1, 1)]
        let found = try await recover(log.disk, bases: [Sample.uid(2): base]).node
        #expect(found.servers.map(\.creation.uid) == [Sample.uid(2)])
        #expect(found.lost.map(\.uid) == [Sample.uid(1)] && found.lost[0].damage == nil)
        #expect(found.lost[0].creation == Sample.creation(1))
        await log.write(.serverDeleted(Sample.uid(1), Sample.creation(1).clusterID, index: 0, term: 0))
        let later = try await recover(log.disk, bases: [Sample.uid(2): base]).node
        #expect(later.lost.isEmpty && later.tombstones.map(\.uid) == [Sample.uid(1)])
    }

    @Test func filesOfAnotherNodeAreRefused() async throws {
        let log = try await TestLog()
        await log.write(.peer(Sample.peer(1)))
        let disk = log.disk
        let error = await #expect(throws: StorageError.self) {
            try await Recovery.run(
                settings: TestLog.settings(), nodeID: NodeID(high: 9, low: 9),
                files: readOnly(disk))
        }
        #expect(error?.code == .wrongNode)
    }
}

func readOnly(_ disk: MemoryFileSystem) -> AsyncFiles {
    AsyncFiles { MemoryFileSystem(copying: disk, handler: $0) }
}
