import FlotillaStorage
import FlotillaWire
import Testing

/// What the doctor says of directories with which all is well, or of which nothing is lost.
@Suite struct DoctorTests {
    @Test func `a right directory has nothing to be told of it and stays as it is`() async throws {
        let disk = try await DoctorDisk.make()
        let before = disk.disk.paths.map { ($0, disk.disk.contents($0)) }
        let said = try await disk.examine()
        #expect(said.findings.isEmpty, "\(said.findings)")
        #expect(said.changes.isEmpty)
        #expect(said.summary.files == UInt64(before.count))
        #expect(said.summary.bytes == before.reduce(0) { $0 + UInt64($1.1.count) })
        #expect(said.summary.servers == 2 && said.summary.problems == 0)
        // What is in segments, and all that is left in the write-ahead log.
        #expect(said.summary.entries > disk.released[0].rawValue + 2)
        #expect(disk.disk.paths.elementsEqual(before.map(\.0)))
        #expect(before.allSatisfy { disk.disk.contents($0.0) == $0.1 })
    }

    @Test func `a torn tail is a note with its place`() async throws {
        let disk = try await DoctorDisk.make()
        let path = disk.path(in: DoctorDisk.walPath, "0000000000000004", ".wal")
        let bytes = disk.disk.contents(path)
        let used = try #require(bytes.lastIndex { $0 != 0 })
        let end = (used / 4_096 + 1) * 4_096
        let said = try await disk.changed(path) { bytes in
            for place in end..<end + 300 { bytes[place] = UInt8(truncatingIfNeeded: place | 1) }
        }.examine()
        #expect(said.problems.isEmpty && said.notes.count == 1, "\(said.findings)")
        #expect(said.notes.first?.file == path && said.notes.first?.offset == UInt64(end))
        #expect(said.notes.first?.length == 4_096)
    }

    @Test func `files that were never finished and files of others are notes`() async throws {
        let disk = try await DoctorDisk.make()
        let names = [
            "\(DoctorDisk.path)/node.tmp", "\(DoctorDisk.path)/lost+found", "\(DoctorDisk.walPath)/readme",
            "\(DoctorDisk.walPath)/0000000000000009.wal.tmp", "\(DoctorDisk.servers(1))/0000000000000009.seg.tmp",
            "\(DoctorDisk.servers(2))/notes", "\(DoctorDisk.path)/servers/old",
        ]
        for name in names {
            let other = disk.changed { copy in
                copy.add(name, [1, 2, 3])
            }
            let said = try await other.examine()
            #expect(said.problems.isEmpty && said.notes.map(\.file) == [name], "\(said.findings)")
        }
    }

    @Test func `a directory that a node runs on is left alone`() async throws {
        let disk = try await DoctorDisk.make()
        let lock = "\(DoctorDisk.path)/LOCK"
        await #expect(throws: StorageError.self) { try await disk.examine { $0.lock(lock) } }
        do { _ = try await disk.examine { $0.lock(lock) } } catch {
            #expect(error.code == .locked && error.message.contains(lock))
        }
        let without = disk.changed { $0.move(lock, to: nil) }
        let said = try await without.examine()
        #expect(said.findings.isEmpty && said.changes.isEmpty)
    }

    @Test func `a directory that is not a node's is bad usage`() async throws {
        let empty = DoctorDisk(disk: MemoryFileSystem(), released: [])
        do {
            _ = try await empty.examine()
            Issue.record("a directory that is not there")
        } catch { #expect(error.cause?.isNotFound == true) }
        let new = MemoryDisk()
        try await new.files.durablyMakeDirectory(DoctorDisk.path)
        do {
            _ = try await DoctorDisk(disk: new.disk, released: []).examine()
            Issue.record("an empty directory")
        } catch { #expect(error.code == .setting) }
    }

    @Test func `a first start that was cut off anywhere is no problem`() async throws {
        var notes = 0
        for operations in 0..<40 {
            let new = MemoryDisk()
            new.disk.die(after: operations)
            _ = try? await DataDirectory.open(
                path: DoctorDisk.path, walPath: DoctorDisk.walPath, name: Sample.name("n1"),
                newNodeID: Sample.nodeID, files: new.files)
            let disk = DoctorDisk(disk: MemoryFileSystem(copying: new.disk, handler: { _ in }), released: [])
            guard let said = try? await disk.examine() else { continue }
            #expect(said.problems.isEmpty, "\(operations): \(said.problems)")
            notes += said.notes.count
        }
        #expect(notes > 0)
    }

    @Test func `what a compaction replaced is a note`() async throws {
        let disk = try await DoctorDisk.make()
        let copy = MemoryDisk(copying: disk.disk)
        let files = SegmentFiles(directory: DoctorDisk.servers(1), uid: Sample.uid(1), files: copy.files)
        let set = try await SegmentSet.load(directory: files.directory, uid: files.uid, files: copy.files).set
        let group = try #require(
            set.compactionGroups(through: 12, live: Sample.live([2, 5, 9]), limits: SegmentLimits()).first)
        let written = try #require(
            try await SegmentCompactor(files).rewrite(group, live: Sample.live([2, 5, 9]), into: 3, salt: 4))
        let said = try await DoctorDisk(disk: copy.disk, released: disk.released).examine()
        #expect(said.problems.isEmpty, "\(said.problems)")
        #expect(
            !said.notes.isEmpty && said.notes.map(\.file) == group.segments.map { files.path($0.number) },
            "\(said.notes)")
        #expect(written.number == 3)
    }

    @Test func `the segments of a snapshot that never came are a note`() async throws {
        let disk = try await DoctorDisk.make()
        let copy = MemoryDisk(copying: disk.disk)
        let files = SegmentFiles(directory: DoctorDisk.servers(1), uid: Sample.uid(1), files: copy.files)
        var sequence = SegmentWriter(files).begin(installing: 900, term: 9, from: 7, salt: 3)
        try await sequence.append(Sample.entryBytes(800...800, term: 8))
        _ = try await sequence.finish()
        let said = try await DoctorDisk(disk: copy.disk, released: disk.released).examine()
        #expect(said.problems.isEmpty && said.notes.map(\.file) == [files.path(7)], "\(said.findings)")
    }

    /// The doctor keeps no entry, and yet must follow the log through everything that recovery follows it through.
    @Test func `whatever was written in good order is right`() async throws {
        for seed in 1...30 as ClosedRange<UInt64> {
            let new = MemoryDisk()
            try await DataDirectory.open(
                path: DoctorDisk.path, walPath: DoctorDisk.walPath, name: Sample.name("n1"),
                newNodeID: Sample.nodeID, files: new.files
            ).close(new.files)
            let log = try await TestLog(on: new.disk)
            await log.write(.serverCreated(Sample.creation(1)))
            var last: UInt64 = 0
            for step in 1...40 as ClosedRange<UInt64> {
                let draw = (seed &* 0x9e37_79b9_7f4a_7c15 &+ step &* 0xbf58_476d_1ce4_e5b9) >> 40
                // Entries go on behind the last, or replace some as another leader's do; or some are cut.
                let first = draw % 3 == 0 && last > 0 ? draw / 3 % last + 1 : last + 1
                if draw % 5 == 0, first <= last {
                    await log.write(.truncated(Sample.uid(1), from: LogIndex(first)))
                    last = first - 1
                } else {
                    let end = first + draw % 7
                    await log.write(Sample.entries(1, first...end, term: step, body: Int(draw % 600)))
                    last = end
                }
            }
            #expect(try await recover(log.disk).node.servers[0].table.lastIndex == LogIndex(last))
            let said = try await DoctorDisk(disk: log.disk, released: []).examine()
            #expect(said.findings.isEmpty, "seed \(seed): \(said.findings)")
        }
    }
}
