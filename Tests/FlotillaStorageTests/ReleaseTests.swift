import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// Files of the write-ahead log that nobody needs any more.
@Suite struct ReleaseTests {
    private func filled(_ files: Int) async throws -> TestLog {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        var index: UInt64 = 1
        while closed(log).count < files {
            await log.write(Sample.entries(1, index...index, term: 1, body: 3_000))
            await log.write(Sample.entries(2, index...index, term: 1))
            index += 1
        }
        return log
    }

    private func closed(_ log: TestLog) -> [WALFileContents] {
        log.notices.flatMap { $0 }.compactMap { if case .fileClosed(let contents) = $0 { contents } else { nil } }
    }

    /// What a snapshot of each server says that covers all that the released files hold.
    private func bases(_ log: TestLog) -> [ServerUID: RecoveredBase] {
        var bases: [ServerUID: RecoveredBase] = [:]
        for share in closed(log)[1].shares {
            var base = RecoveredBase()
            base.snapshot = SnapshotName(index: share.last, term: 1)
            base.lastIndex = share.last
            bases[share.server] = base
        }
        return bases
    }

    private func walFiles(_ log: TestLog) -> [String] {
        log.disk.names(in: TestLog.directory).filter { $0.hasSuffix(".wal") }
    }

    @Test func aFileThatIsFullTellsWhoseEntriesItHolds() async throws {
        let log = try await filled(2)
        let files = closed(log)
        #expect(files.map(\.sequence) == [1, 2])
        #expect(files.allSatisfy { $0.shares.map(\.server) == [Sample.uid(1), Sample.uid(2)] })
        #expect(files[0].shares[0].last < files[1].shares[0].last)
        // A restart knows the same, and goes on counting in the file that it goes on in.
        let (node, _, disk) = try await recover(log.disk)
        #expect(node.closedFiles == files)
        let next = try await TestLog(on: disk, start: node.start)
        var index = (node.servers[0].table.lastIndex.rawValue) + 1
        while closed(next).isEmpty {
            await next.write(Sample.entries(1, index...index, term: 1, body: 3_000))
            index += 1
        }
        #expect(closed(next).map(\.sequence) == [3])
        #expect(closed(next)[0].shares.map(\.server) == [Sample.uid(1), Sample.uid(2)])
    }

    @Test func releasedFilesGoOnceThatIsDurableAndTheRestIsStillRead() async throws {
        let log = try await filled(3)
        let before = log.log.status
        // What the files hold that go is below a snapshot.
        let floors = closed(log)[1].shares.map { WALRecord.snapshotFloor($0.server, $0.last, 1) }
        log.log.append(floors + [.filesReleased(oldest: 3)])
        await log.settle()
        #expect(!walFiles(log).contains { $0 < "0000000000000003.wal" })
        #expect(log.log.status.files == before.files - 2 && log.log.status.liveBytes < before.liveBytes)
        let (node, _, _) = try await recover(log.disk, bases: bases(log))
        #expect(node.closedFiles.map(\.sequence) == [3])
        #expect(node.servers.map { $0.snapshotFloor?.index } == closed(log)[1].shares.map(\.last))
    }

    @Test func aReleaseThatIsCutOffAnywhereLeavesALogThatIsRead() async throws {
        let log = try await filled(3)
        let floors = closed(log)[1].shares.map { WALRecord.snapshotFloor($0.server, $0.last, 1) }
        for operations in 0..<12 {
            let life = try await TestLog(on: log.disk, start: try await recover(log.disk).node.start)
            life.disk.die(after: operations)
            life.log.append(floors + [.filesReleased(oldest: 3)])
            await life.settle()
            life.disk.losePower()
            let (node, _, disk) = try await recover(life.disk, bases: bases(log))
            #expect(node.closedFiles.last?.sequence == 3)
            let isReleased = node.servers[0].snapshotFloor != nil
            #expect(isReleased || walFiles(life).contains("0000000000000001.wal"))
            // Whatever is left of released files goes with the next start.
            let next = try await TestLog(on: disk, start: node.start)
            #expect(!isReleased || !walFiles(next).contains { $0 < "0000000000000003.wal" })
        }
    }

    /// Each removal takes its time, and what is removed later must not be gone first.
    @Test func aSecondReleaseWaitsForTheFirst() async throws {
        let log = try await filled(4)
        log.holdsRemovals = true
        await log.write(.filesReleased(oldest: 2))
        await log.write(.filesReleased(oldest: 3))
        await log.write(.filesReleased(oldest: 4))
        #expect(log.removals == [[1]])
        log.holdsRemovals = false
        await log.settle()
        #expect(walFiles(log).first == "0000000000000004.wal" && log.log.status.files == walFiles(log).count)
    }

    @Test func aFileThatCanNotBeRemovedEndsTheLog() async throws {
        let log = try await filled(2)
        log.disk.fail("remove", on: "1.wal", errno: 5)
        await log.write(.filesReleased(oldest: 2))
        #expect(log.failures.count == 1)
    }
}
