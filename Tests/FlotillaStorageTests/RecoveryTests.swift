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

    @Test func aGapIsRefused() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        await log.write(Sample.entries(1, 5...6, term: 1))
        let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
        #expect(error?.damages.map(\.kind) == [.gap])
        #expect(error?.damages.first?.server == Sample.uid(1))
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
