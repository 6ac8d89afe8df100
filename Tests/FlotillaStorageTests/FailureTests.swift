import FlotillaStorage
import FlotillaWire
import Glibc
import Testing

@Suite struct FailureTests {
    @Test(arguments: ["write", "sync data of"])
    func theFirstFailureIsFinal(operation: String) async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        let told = log.notices.count
        log.disk.fail(operation, on: ".wal", errno: EIO, once: true)
        await log.write(Sample.entries(1, 1...1, term: 1))
        #expect(log.failures.count == 1)
        #expect(log.failures.first?.cause?.operation == operation)
        #expect(log.failures.first?.cause?.path == log.path(1))
        let journal = log.disk.journal
        await log.write(Sample.entries(1, 1...1, term: 1))
        await log.seal()
        #expect(log.notices.count == told)
        #expect(log.failures.count == 1)
        #expect(log.disk.journal == journal)
        #expect(log.log.isStopped)
    }

    @Test func nothingIsToldBeforeItIsDurable() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        await log.write(Sample.entries(1, 1...2, term: 1))
        log.disk.fail("sync data of", on: ".wal", errno: EIO)
        await log.write(Sample.entries(1, 3...3, term: 1))
        log.disk.heal()
        log.disk.losePower()
        let values = try await recover(log.disk).values
        #expect(values.servers.first?.last == 2)
        #expect(log.notices.last == [.entries(Sample.uid(1), epoch: .zero, through: 2, term: 1)])
    }

    @Test func aDirectWriteIsDurableWithoutASync() async throws {
        let log = try await TestLog(settings: TestLog.settings(method: .auto), mode: .direct)
        await log.write(.serverCreated(Sample.creation(1)))
        log.disk.losePower()
        #expect(try await recover(log.disk).values.servers.count == 1)
        #expect(!log.disk.journal.contains("sync \(log.path(1))"))
    }

    @Test func aFullDiskWhilePreparingIsToldAndTriedAgain() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        log.disk.fail("zero-fill", on: ".tmp", errno: ENOSPC)
        for index in 1...8 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 9_000))
        }
        #expect(log.failures.isEmpty)
        #expect(log.log.status.diskFull)
        #expect(log.delays.last == 1_000_000_000)
        // Without the failure there would be a third file; now records wait.
        for index in 9...16 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 9_000))
        }
        #expect(log.log.status.waitingForFile)
        #expect(log.log.status.queuedBytes > 0)
        log.disk.heal()
        await log.settle()
        await log.settle()
        #expect(!log.log.status.diskFull && !log.log.status.waitingForFile)
        #expect(try await recover(log.disk).values.servers.first?.last == 16)
    }

    @Test func anyOtherFailureWhilePreparingIsFinal() async throws {
        let log = try await TestLog()
        log.disk.fail("rename", on: ".tmp", errno: EIO)
        await log.write(.serverCreated(Sample.creation(1)))
        #expect(log.failures.first?.cause?.errno == EIO)
    }

    @Test func theLimitOfAllFilesIsNeverPassed() async throws {
        var settings = TestLog.settings()
        settings.maxTotalBytes = 3 * settings.fileBytes
        let log = try await TestLog(settings: settings)
        await log.write(.serverCreated(Sample.creation(1)))
        for index in 1...30 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 9_000))
        }
        #expect(log.log.status.limitReached && log.log.status.waitingForFile)
        #expect(log.log.status.liveBytes == 3 * settings.fileBytes)
        log.log.stop()
        await log.settle()
        #expect(log.log.isStopped)
    }

    @Test func aStopDoesNotWaitForAFullDisk() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        log.disk.fail("zero-fill", on: ".tmp", errno: ENOSPC)
        for index in 1...16 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 9_000))
        }
        #expect(log.log.status.waitingForFile)
        log.log.stop()
        await log.settle()
        #expect(log.log.isStopped && log.failures.isEmpty)
    }

    @Test func aStopSealsAndCloses() async throws {
        let log = try await TestLog()
        log.log.append([.serverCreated(Sample.creation(1)), Sample.entries(1, 1...1, term: 1)])
        log.log.stop()
        await log.settle()
        #expect(log.log.isStopped)
        #expect(try await recover(log.disk).values.servers.first?.last == 1)
        #expect(log.log.status.batches == 2)
    }
}
