import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@Suite struct RollOverTests {
    @Test func whatLivesOnlyInTheLogIsRepeatedInEachFile() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)), .peer(Sample.peer(3)))
        await log.write(Sample.hardState(1, term: 7, vote: 2), .lastApplied(Sample.uid(1), 0))
        await log.write(.serverDeleted(Sample.uid(2), Sample.clusterID, index: 1, term: 1))
        for index in 1...40 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 7, body: 3_000))
        }
        let (node, values, _) = try await recover(log.disk)
        #expect(node.report.files >= 3)
        #expect(values.servers.map(\.hardState) == [HardState(term: 7, vote: Sample.uid(2))])
        #expect(values.servers[0].last == 40)
        #expect(values.tombstones.count == 1)
        #expect(values.peers == [Sample.peer(3)])
        // The last file alone still knows what is no entry: its checkpoint names the files that are needed, though.
        log.disk.move(log.path(1), to: nil)
        let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
        #expect(error?.damages.contains { $0.kind == .fileMissing } == true)
        #expect(error?.damages.contains { $0.kind == .unknownServer } == false)
    }

    @Test func aFreshFileBeginsOnlyWhenABatchDoesNotFit() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        await log.write(Sample.entries(1, 1...1, term: 1))
        let (node, _, _) = try await recover(log.disk)
        #expect(node.report.files == 1)
        #expect(log.log.status.files == 2)
        #expect(log.log.status.liveBytes == 2 * 65_536)
    }

    @Test func aCheckpointThatWasCutOffIsBegunAgainInAFreshFile() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        for index in 1...12 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 4_000))
        }
        let before = try await recover(log.disk)
        #expect(before.node.report.files == 2)
        // The second file's first batch is torn: nothing in it was ever confirmed.
        log.disk.change(log.path(2)) { bytes in for place in 4_096 + 100..<bytes.count { bytes[place] = 0 } }
        let found = try await recover(log.disk)
        let next = try await TestLog(on: found.disk, start: found.node.start)
        let last = found.values.servers[0].last.rawValue
        await next.write(Sample.entries(1, last + 1...last + 1, term: 2))
        let again = try await recover(next.disk)
        #expect(again.values.servers[0].last.rawValue == last + 1)
    }

    @Test func aRunThatIsLongerThanABatchIsSplitAndComesBackWhole() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...60, term: 2, body: 1_000))
        let values = try await recover(log.disk).values
        #expect(values.servers[0].bytes == Array(Sample.entryBytes(1...60, term: 2, body: 1_000).readableBytesView))
        let confirmed = log.notices.flatMap { $0 }.last
        #expect(confirmed == .entries(Sample.uid(1), epoch: .zero, through: 60, term: 2))
    }

    @Test func recordsOfADeletedServerAreDropped() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        await log.write(
            .serverDeleted(Sample.uid(1), Sample.clusterID, index: 2, term: 1), Sample.entries(1, 1...1, term: 1))
        #expect(log.notices.last == [.serverDeleted(Sample.uid(1))])
        #expect(try await recover(log.disk).values.servers.isEmpty)
    }

    @Test func aRecordThatFitsIntoNoFileEndsTheLogInsteadOfFillingTheDisk() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...1, term: 1, body: 70_000))
        #expect(log.failures.map(\.code) == [.tooLarge])
        #expect(log.log.status.files <= 3)
    }

    @Test func aServerThatFollowsADeletedOneOfItsClusterIsFoundAfterAnyNumberOfFiles() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)), Sample.entries(1, 1...3, term: 1))
        await log.write(
            .serverDeleted(Sample.uid(1), Sample.clusterID, index: 3, term: 1), .serverCreated(Sample.creation(2)))
        await log.write(Sample.entries(2, 1...2, term: 4))
        #expect(try await recover(log.disk).node.servers.map(\.creation) == [Sample.creation(2)])
        for index in 3...40 as ClosedRange<UInt64> {
            await log.write(Sample.entries(2, index...index, term: 4, body: 3_000))
        }
        let (node, values, _) = try await recover(log.disk)
        #expect(node.report.files >= 3)
        #expect(node.servers.map(\.creation) == [Sample.creation(2)])
        #expect(values.servers[0].last == 40)
        #expect(values.tombstones.map(\.uid) == [Sample.uid(1)])
    }
}
