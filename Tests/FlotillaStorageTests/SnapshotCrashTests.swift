import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// The disk stops after each operation in turn, and once more after each operation of the start that follows.
@Suite struct SnapshotCrashTests {
    /// How much of what was not synced is gone after a crash.
    private enum Crash: CaseIterable {
        case processKilled
        case powerLost
        case powerLostButNamesKept

        func strike(_ source: SnapshotDisk) -> SnapshotDisk {
            let disk = SnapshotDisk(copying: source)
            switch self {
            case .processKilled: break
            case .powerLost: disk.disk.losePower()
            case .powerLostButNamesKept: disk.disk.losePower(keepingNames: true)
            }
            return disk
        }
    }

    private let pieces = Sample.pieces(100, 2_000)
    private let live = Sample.live([1, 9])

    /// A disk with a snapshot and two checkpoints.
    private func start() async throws -> SnapshotDisk {
        let disk = try await SnapshotDisk()
        _ = try await disk.write(at: 10, pieces: pieces, live: live)
        _ = try await disk.write(.checkpoint, at: 20, pieces: pieces, live: live)
        _ = try await disk.write(.checkpoint, at: 30, pieces: pieces, live: live)
        return disk
    }

    /// Lets a job be cut off after each of its operations.
    ///
    /// - Parameter allowed: the names that may be there afterwards; the last are there when the job has succeeded.
    private func crashEverywhere(
        _ start: SnapshotDisk, allowed: [[String]], _ job: (SnapshotDisk) async throws -> Void
    ) async throws {
        var operations = 0
        while true {
            let disk = SnapshotDisk(copying: start)
            disk.disk.die(after: operations)
            var isDone = true
            do { try await job(disk) } catch { isDone = false }
            for crash in Crash.allCases {
                let comment: Comment = "\(crash) after \(operations)"
                try await startAgain(crash.strike(disk), allowed: isDone ? allowed.suffix(1) : allowed, comment)
            }
            if isDone { break }
            operations += 1
        }
        // A job of fewer operations than that would not have been cut off in earnest.
        #expect(operations >= 2)
    }

    /// Starts with a crash after each operation, then without any.
    private func startAgain(
        _ crashed: SnapshotDisk, allowed: [[String]], _ comment: Comment
    ) async throws {
        let names = try await check(SnapshotDisk(copying: crashed), allowed: allowed, comment)
        for operations in 0... {
            let disk = SnapshotDisk(copying: crashed)
            disk.disk.die(after: operations)
            var isDone = true
            do { _ = try await disk.load() } catch { isDone = false }
            for crash in Crash.allCases {
                // Nobody has built on what an unfinished start has seen.
                try await check(crash.strike(disk), allowed: isDone ? [names] : allowed, comment)
            }
            if isDone { break }
        }
    }

    /// Everything that is there is whole, and nothing else is.
    @discardableResult
    private func check(_ disk: SnapshotDisk, allowed: [[String]], _ comment: Comment) async throws -> [String] {
        let (set, damages) = try await disk.load()
        #expect(damages.isEmpty, comment)
        for file in set.snapshots + set.checkpoints {
            let contents = try await disk.read(file)
            #expect(contents.pieces == pieces && contents.live == live, comment)
        }
        #expect(disk.names == (set.snapshots + set.checkpoints).map(\.name).sorted(), comment)
        #expect(allowed.contains(disk.names), comment)
        // What was found once must be found for ever.
        disk.disk.losePower()
        #expect(try await disk.load().set == set, comment)
        return disk.names
    }

    @Test(arguments: [SnapshotKind.snapshot, .checkpoint])
    func `a file that is written is there whole or not at all`(kind: SnapshotKind) async throws {
        let disk = try await start()
        let done = SnapshotDisk(copying: disk)
        _ = try await done.write(kind, at: 40, pieces: pieces, live: live)
        try await crashEverywhere(disk, allowed: [disk.names, done.names]) { disk in
            _ = try await disk.write(kind, at: 40, pieces: pieces, live: live)
        }
    }

    @Test func `a file that is written once more is one of the two`() async throws {
        let disk = try await start()
        try await crashEverywhere(disk, allowed: [disk.names]) { disk in
            _ = try await disk.write(at: 10, pieces: pieces, live: live, salt: 99)
        }
    }

    @Test func `a checkpoint that is promoted is one of the two`() async throws {
        let disk = try await start()
        let checkpoint = try #require(try await disk.load().set.newestCheckpoint(atOrBelow: 25))
        let done = SnapshotDisk(copying: disk)
        _ = try await checkpoint.durablyPromote(done.files)
        try await crashEverywhere(disk, allowed: [disk.names, done.names]) { disk in
            let promoted = try await checkpoint.durablyPromote(disk.files)
            #expect(promoted.kind == .snapshot && promoted.index == 20)
        }
    }

    @Test func `files are removed one by one in their order`() async throws {
        let disk = try await start()
        _ = try await disk.write(at: 50, pieces: pieces, live: live)
        let obsolete = try await disk.load().set.obsolete()
        #expect(obsolete.map(\.index) == [10, 20, 30])
        let allowed = (0...3).map { gone in
            disk.names.filter { name in !obsolete[..<gone].contains { $0.name == name } }
        }
        try await crashEverywhere(disk, allowed: allowed) { disk in
            try await SnapshotSet.durablyRemove(obsolete, files: disk.files)
        }
    }

    @Test func `a snapshot that is received is there whole or not at all`() async throws {
        let disk = try await start()
        let sender = try await SnapshotDisk()
        let file = try await sender.write(at: 60, pieces: pieces, live: live)
        try await crashEverywhere(disk, allowed: [disk.names, (disk.names + [file.name]).sorted()]) { disk in
            try await receive(file, from: sender, on: disk)
        }
    }

    @Test func `a snapshot that is received and abandoned leaves nothing`() async throws {
        let disk = try await start()
        let sender = try await SnapshotDisk()
        let file = try await sender.write(at: 60, pieces: pieces, live: live)
        try await crashEverywhere(disk, allowed: [disk.names]) { disk in
            var receiver = try await SnapshotReceiver.begin(
                directory: SnapshotDisk.directory, index: 60, term: 7, length: file.bytes, files: disk.files)
            try await receiver.append(at: 0, ByteBuffer(bytes: sender.disk.contents(file.path)))
            _ = try await receiver.finish()
            await receiver.abandon()
        }
    }

    private func receive(_ file: SnapshotFile, from sender: SnapshotDisk, on disk: SnapshotDisk) async throws {
        var receiver = try await SnapshotReceiver.begin(
            directory: SnapshotDisk.directory, index: file.index, term: file.term, length: file.bytes,
            files: disk.files)
        var reader = try await SnapshotReader.open(file, files: sender.files)
        while receiver.received < file.bytes {
            let part = try await reader.read(at: receiver.received, count: 700)
            try await receiver.append(at: receiver.received, part)
        }
        try await reader.close()
        #expect(try await receiver.finish() == Sample.metadata(60, term: 7))
        #expect(try await receiver.commit() == file)
    }
}
