import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// The last segment of a server is gone, and nothing of it stands in the write-ahead log any more. A server that took the
/// rest for its log would vote as if it had never acknowledged what is missing.
@Suite struct LogEndTests {
    private let uid = Sample.uid(1)

    /// A server whose 20 entries are in two segments and in no file of the log, beside another that filled those files.
    ///
    /// - Parameters:
    ///   - early: what is written before the first file is full.
    ///   - late: what is written in the last file.
    private func make(early: WALRecord..., late: WALRecord...) async throws -> MemoryDisk {
        let new = MemoryDisk()
        for number in [1, 2] as [UInt64] { try await new.files.durablyMakeDirectory(DoctorDisk.servers(number)) }
        let log = try await TestLog(on: new.disk)
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        await log.write(Sample.entries(1, 1...20, term: 3))
        for record in early { await log.write(record) }
        var index: UInt64 = 0
        while closed(log).count < 2 {
            index += 1
            await log.write(Sample.entries(2, index...index, term: 1, body: 3_000))
        }
        let own = MemoryDisk(copying: log.disk)
        try await flush(1...20, term: 3, of: 1, own)
        let others = try #require(closed(log)[1].shares.first { $0.server == Sample.uid(2) }).last
        try await flush(1...others.rawValue, term: 1, of: 2, own)
        let start = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: own.files
        ).start
        let next = try await TestLog(on: own.disk, start: start)
        await next.write(.filesReleased(oldest: 3))
        for record in late { await next.write(record) }
        await next.seal()
        return MemoryDisk(copying: next.disk)
    }

    private func closed(_ log: TestLog) -> [WALFileContents] {
        log.notices.flatMap { $0 }.compactMap { if case .fileClosed(let contents) = $0 { contents } else { nil } }
    }

    private func files(_ number: UInt64, _ disk: MemoryDisk) -> SegmentFiles {
        SegmentFiles(directory: DoctorDisk.servers(number), uid: Sample.uid(number), files: disk.files)
    }

    private func flush(_ range: ClosedRange<UInt64>, term: UInt64, of number: UInt64, _ disk: MemoryDisk) async throws {
        let region = SegmentDisk.region(range, term: term, body: number == 1 ? 20 : 3_000)
        _ = try await SegmentWriter(files(number, disk), limits: SegmentLimits(maxEntries: 10)).write(
            [region], from: 1, salt: 7)
    }

    private func removeLast(of disk: MemoryDisk) { disk.disk.move(files(1, disk).path(2), to: nil) }

    private func recover(_ disk: MemoryDisk) async throws -> RecoveredNode {
        try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: disk.files)
    }

    private func expectLost(_ disk: MemoryDisk, _ entries: ClosedRange<LogIndex>) async throws {
        let node = try await recover(disk)
        #expect(node.servers.map(\.creation.uid) == [Sample.uid(2)])
        #expect(node.lost.map(\.uid) == [uid])
        #expect(node.lost.first?.damage?.kind == .endMissing && node.lost.first?.damage?.entries == entries)
    }

    @Test func `a server whose last entries are gone is lost, and no other`() async throws {
        let disk = try await make()
        #expect(try await recover(disk).lost.isEmpty)
        removeLast(of: disk)
        try await expectLost(disk, 11...20)
    }

    @Test func `a snapshot does not stand for what was behind it`() async throws {
        let disk = try await make()
        var pieces = Sample.pieces(100)[...]
        _ = try await SnapshotWriter(
            directory: SnapshotDirectory(path: DoctorDisk.servers(1), server: uid, cluster: Sample.clusterID),
            files: disk.files
        ).write(Sample.metadata(15, term: 3), kind: .snapshot, live: LiveIndexes(), salt: 1) { pieces.popFirst() }
        removeLast(of: disk)
        try await expectLost(disk, 16...20)
    }

    @Test func `what was dropped is not missed`() async throws {
        for disk in [
            try await make(early: .truncated(uid, from: 11)), try await make(late: .truncated(uid, from: 11)),
            try await make(early: .truncated(uid, from: 6), Sample.entries(1, 6...10, term: 4, epoch: 1)),
        ] {
            removeLast(of: disk)
            #expect(try await recover(disk).lost.isEmpty)
        }
    }

    @Test func `what was written anew after a cut is missed`() async throws {
        let disk = try await make(early: .truncated(uid, from: 6), Sample.entries(1, 6...12, term: 4, epoch: 1))
        removeLast(of: disk)
        try await expectLost(disk, 11...12)
    }

    @Test func `a server that had applied more than is there is lost`() async throws {
        let disk = try await make(late: .lastApplied(uid, 21))
        try await expectLost(disk, 21...21)
    }
}
