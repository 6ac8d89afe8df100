import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Synchronization
import Testing

/// Full disks, disks that fail, sources that fail, and callers that change their minds.
@Suite struct SnapshotFailureTests {
    private let pieces = Sample.pieces(1_200_000, 800_000, 900_000)
    private let temporary = ".snap.tmp"

    private struct Unwilling: Error, Equatable {
        var piece: Int
    }

    /// A disk with one snapshot.
    private func start() async throws -> SnapshotDisk {
        let disk = try await SnapshotDisk()
        _ = try await disk.write(at: 5)
        return disk
    }

    private func expectUnchanged(_ disk: SnapshotDisk, _ comment: Comment) async throws {
        #expect(disk.names == ["snapshot-0000000000000005-0000000000000007.snap"], comment)
        let (set, damages) = try await disk.load()
        #expect(set.snapshots.map(\.index) == [5] && damages.isEmpty, comment)
        // And the next one succeeds.
        _ = try await disk.write(pieces: pieces)
    }

    @Test func `a disk that is full at any write leaves everything as it was`() async throws {
        let whole = try await start()
        let before = whole.disk.journal.count
        _ = try await whole.write(pieces: pieces)
        let writes = whole.disk.journal[before...].count { $0.hasPrefix("write") }
        #expect(writes >= 3)
        for write in 0..<writes {
            let disk = try await start()
            disk.disk.fail("write", on: temporary, errno: ENOSPC, after: write)
            let error = await #expect(throws: StorageError.self) { try await disk.write(pieces: pieces) }
            #expect(error?.cause?.isOutOfSpace == true)
            disk.disk.heal()
            try await expectUnchanged(disk, "full at write \(write)")
        }
    }

    @Test(arguments: ["open", "write", "write out", "sync", "close", "rename"])
    func `an operation that fails leaves everything as it was`(operation: String) async throws {
        let disk = try await start()
        disk.disk.fail(operation, on: temporary, errno: EIO, once: true)
        let error = await #expect(throws: StorageError.self) { try await disk.write(pieces: pieces) }
        #expect(error?.code == .fileSystem && error?.cause?.operation == operation)
        try await expectUnchanged(disk, "\(operation)")
    }

    @Test func `a directory that can't be synced is told`() async throws {
        let disk = try await start()
        disk.disk.fail("sync directory", on: SnapshotDisk.directory.path, errno: EIO, once: true)
        await #expect(throws: StorageError.self) { try await disk.write(pieces: pieces) }
        #expect(try await disk.load().set.snapshots.map(\.index) == [5, 100])
    }

    @Test func `a source that throws leaves everything as it was`() async throws {
        for last in 0...3 {
            let disk = try await start()
            var given = 0
            await #expect(throws: Unwilling(piece: last)) {
                try await SnapshotWriter(directory: SnapshotDisk.directory, files: disk.files).write(
                    Sample.metadata(100, term: 7), kind: .snapshot, live: LiveIndexes(), salt: 1
                ) {
                    if given == last { throw Unwilling(piece: given) }
                    given += 1
                    return pieces[given - 1]
                }
            }
            try await expectUnchanged(disk, "thrown at \(last)")
        }
    }

    @Test func `a write that is cancelled anywhere leaves everything as it was`() async throws {
        let live = Sample.live(Array(1...70_000))
        // Asked before each of two pieces of live indexes, three of state, and the end.
        for patience in 0..<6 {
            let disk = try await start()
            let asked = Mutex(0)
            var rest = pieces[...]
            await #expect(throws: SnapshotRefusal.cancelled) {
                try await SnapshotWriter(directory: SnapshotDisk.directory, files: disk.files).write(
                    Sample.metadata(70_000, term: 7), kind: .snapshot, live: live, salt: 1,
                    isCancelled: {
                        asked.withLock {
                            $0 += 1
                            return $0 > patience
                        }
                    }
                ) { rest.popFirst() }
            }
            #expect(asked.withLock { $0 } == patience + 1)
            #expect(rest.count == 3 - max(0, patience - 2))
            try await expectUnchanged(disk, "cancelled at \(patience)")
        }
    }

    @Test func `a read that fails is told, and can be repeated`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: pieces)
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            for piece in pieces {
                disk.disk.fail("read", on: ".snap", errno: EIO)
                // Where the bytes are at hand already, nothing is read.
                do throws(StorageError) {
                    let got = try await reader.nextPiece()
                    #expect(got == .state(piece))
                    disk.disk.heal()
                    continue
                } catch {
                    #expect(error.code == .fileSystem && error.cause?.operation == "read")
                }
                disk.disk.heal()
                #expect(try await reader.nextPiece() == .state(piece))
            }
            #expect(try await reader.nextPiece() == nil)
            disk.disk.fail("read", on: ".snap", errno: EIO)
            await #expect(throws: StorageError.self) { try await reader.verify() }
            disk.disk.heal()
            // The second read fails, and what the first one gave is asked for once more.
            disk.disk.fail("read", on: ".snap", errno: EIO, after: 1)
            await #expect(throws: StorageError.self) { try await reader.verify() }
            disk.disk.heal()
            try await reader.verify()
        }
    }

    @Test(arguments: ["sync directory", "list", "open", "read", "look up", "close", "remove"])
    func `a start that can't look says so and takes nothing for damaged`(operation: String) async throws {
        let disk = try await start()
        let memory = AlignedMemory(capacity: 1)
        try await disk.files.durablyReplace(
            "snapshot-1.snap.tmp", in: SnapshotDisk.directory.path, count: 1, from: memory)
        disk.disk.fail(operation, on: "", errno: EIO)
        let error = await #expect(throws: StorageError.self) { try await disk.load() }
        #expect(error?.code == .fileSystem && error?.cause?.operation == operation)
        disk.disk.heal()
        _ = try await disk.load()
        try await expectUnchanged(disk, "\(operation)")
    }

    @Test func `a directory that is not there holds no snapshots`() async throws {
        let disk = try await SnapshotDisk()
        let directory = SnapshotDirectory(path: "/none", server: Sample.uid(1), cluster: Sample.clusterID)
        let (set, damages) = try await SnapshotSet.load(directory: directory, files: disk.files)
        #expect(set == SnapshotSet(directory: directory) && damages.isEmpty)
    }

    @Test func `a file that becomes shorter under its reader is damage`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: pieces)
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            disk.disk.change(file.path) { $0.removeLast($0.count - 5_000) }
            let error = await #expect(throws: StorageError.self) { try await reader.verify() }
            #expect(error?.damages.map(\.kind) == [.fileLength])
        }
    }
}
