import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// A snapshot comes from another node, part by part, and the process ends at any operation of that: the next start finds
/// the old state or the new one, whole.
@Suite struct InstallationCrashTests {
    private let uid = Sample.uid(1)
    private let name = SnapshotName(index: 500, term: 3)
    private let live: [UInt64] = [2, 300, 400]

    private func entries(_ index: UInt64) -> ByteBuffer { Sample.entryBytes(index...index, term: 2, body: 3_000) }

    private func recover(_ disk: MemoryDisk) async throws -> RecoveredServer {
        let node = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: disk.files)
        #expect(node.lost.isEmpty && node.report.harmless.isEmpty)
        return try #require(node.servers.first { $0.creation.uid == uid })
    }

    /// A follower whose log ends before the snapshot, and which knows of its term.
    private func start() async throws -> MemoryDisk {
        let start = MemoryDisk(copying: try await DoctorDisk.make().disk)
        let node = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: start.files)
        let log = try await TestLog(on: start.disk, start: node.start)
        await log.write(.hardState(uid, HardState(term: name.term, vote: nil)))
        await log.seal()
        return MemoryDisk(copying: log.disk)
    }

    /// The bytes of the snapshot's file as another node has them.
    private func sent() async throws -> ByteBuffer {
        let sender = try await SnapshotDisk()
        let file = try await sender.write(
            at: name.index.rawValue, term: name.term.rawValue, pieces: Sample.pieces(9_000), live: Sample.live(live))
        return ByteBuffer(bytes: sender.disk.contents(file.path))
    }

    /// Writes all parts and gives the snapshot its name; `false` when the disk died.
    private func install(_ bytes: ByteBuffer, on disk: MemoryDisk) async -> Bool {
        let worker = StorageWorker(
            dataDirectory: DoctorDisk.path, limits: SegmentLimits(maxEntries: 2), files: disk.files)
        var position: SnapshotPosition? = .file(offset: 0)
        while let next = position {
            let content: SnapshotPart.Content
            switch next {
            case .file(let offset):
                let count = min(4_000, bytes.readableBytes - Int(offset))
                guard let part = bytes.getSlice(at: Int(offset), length: count) else { return false }
                content = .file(bytes: part, length: UInt64(bytes.readableBytes))
            case .entries(let index):
                guard let entry = live.first(where: { $0 > index.rawValue }) else { return false }
                content = .entries(entries(entry), more: entry != live.last)
            }
            let order = PartOrder(
                cluster: Sample.clusterID, snapshot: name, position: next, content: content, number: 90, salt: 7)
            let outcome = await worker.run(StorageJob(number: 1, server: uid, work: .writePart(order)))
            guard case .success(.progress(let following)) = outcome.result else { return false }
            position = following
        }
        let outcome = await worker.run(StorageJob(number: 2, server: uid, work: .commit(name)))
        if case .success(.committed) = outcome.result { return true }
        return false
    }

    private func expectNew(_ server: RecoveredServer, _ disk: MemoryDisk, _ comment: Comment) async throws {
        #expect(server.table.lastIndex == name.index, comment)
        let files = try #require(server.files)
        let snapshot = try #require(files.snapshots.newestSnapshot)
        try await SnapshotReader.with(snapshot, files: disk.files) { (reader) async throws(StorageError) in
            try await reader.verify()
        }
        let reader = SegmentReader(servers: "\(DoctorDisk.path)/servers", files: disk.files)
        for index in live {
            let segment = try #require(files.segments.lookUp(LogIndex(index)), comment)
            #expect(await reader.entry(at: LogIndex(index), in: segment) == .entry(entries(index)), comment)
        }
    }

    @Test func `after a crash at any operation a start finds the old state or the new one, whole`() async throws {
        let start = try await start()
        let bytes = try await sent()
        let old = try await recover(MemoryDisk(copying: start.disk))
        #expect(old.snapshot.index == 12 && old.table.lastIndex < name.index)
        var operations = 0
        var isDone = false
        var found: Set<LogIndex> = []
        while !isDone {
            let disk = MemoryDisk(copying: start.disk)
            disk.disk.die(after: operations)
            isDone = await install(bytes, on: disk)
            for losesPower in [true, false] {
                let comment: Comment = "after \(operations), \(losesPower ? "power lost" : "killed")"
                let after = MemoryDisk(copying: disk.disk)
                if losesPower { after.disk.losePower() }
                let server = try await recover(after)
                found.insert(server.snapshot.index)
                if server.snapshot.index == name.index {
                    try await expectNew(server, after, comment)
                } else {
                    #expect(!isDone, comment)
                    #expect(server.snapshot == old.snapshot && server.table.lastIndex == old.table.lastIndex, comment)
                    #expect(server.table.byteCount == old.table.byteCount, comment)
                    #expect(server.files?.segments.segments == old.files?.segments.segments, comment)
                    // Nothing is left over that a second attempt would stumble on.
                    #expect(await install(bytes, on: after), comment)
                    try await expectNew(try await recover(after), after, comment)
                }
            }
            operations += 1
        }
        #expect(found == [old.snapshot.index, name.index] && operations > 20)
    }
}
