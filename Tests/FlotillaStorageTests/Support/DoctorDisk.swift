import FlotillaStorage
import FlotillaWire
import NIOCore
import Synchronization

/// The data directory of a node that has stopped: two servers with segments, snapshots and a checkpoint, and a
/// write-ahead log whose first files were released.
struct DoctorDisk {
    static let path = "/data"
    static let walPath = TestLog.directory

    let disk: MemoryFileSystem
    /// The last entry of each server that is not in the write-ahead log any more.
    let released: [LogIndex]

    /// What was asked of a file system that was to be read only.
    final class Watch: FileSystem {
        private let disk: MemoryFileSystem
        private let written = Mutex<[String]>([])

        init(_ disk: MemoryFileSystem) { self.disk = disk }

        /// The operations that changed something, or might have.
        var changes: [String] { written.withLock { $0 } }

        func submit(_ operation: FileOperation, token: UInt64) {
            let isReading =
                switch operation {
                case .open(_, let options): options.isSubset(of: .direct)
                case .close, .read, .list, .size, .lock: true
                default: false
                }
            if !isReading { written.withLock { $0.append(operation.name) } }
            disk.submit(operation, token: token | Router.jobBit)
        }
    }

    /// What the doctor said.
    struct Result {
        var findings: [Finding]
        var summary: DoctorSummary
        /// Operations that were not only reading.
        var changes: [String]

        var problems: [Finding] { findings.filter { $0.severity == .problem } }
        var notes: [Finding] { findings.filter { $0.severity == .note } }
    }

    static func servers(_ number: UInt64) -> String { "\(path)/servers/\(Sample.uid(number))" }

    static func make() async throws -> DoctorDisk {
        let new = MemoryDisk()
        let directory = try await DataDirectory.open(
            path: path, walPath: walPath, name: Sample.name("n1"), newNodeID: Sample.nodeID, files: new.files)
        try await directory.close(new.files)
        let log = try await TestLog(on: new.disk)
        await log.write(.serverCreated(Sample.creation(1)), .serverCreated(Sample.creation(2)))
        var index: UInt64 = 0
        while closed(log).count < 3 {
            index += 1
            await log.write(
                Sample.entries(1, index...index, term: 1, body: 1_000), Sample.entries(2, index...index, term: 1))
        }
        let released = closed(log)[1].shares.map(\.last)
        let own = MemoryDisk(copying: log.disk)
        try await writeFiles(released, own.files)
        let next = try await TestLog(on: own.disk, start: try await start(own))
        await next.write(
            .snapshotFloor(Sample.uid(1), 12, 1), .snapshotFloor(Sample.uid(2), released[1], 1),
            .lastApplied(Sample.uid(1), released[0]), .lastApplied(Sample.uid(2), released[1]),
            .filesReleased(oldest: 3))
        await next.write(Sample.entries(1, index + 1...index + 3, term: 2, body: 40), .peer(Sample.peer(3)))
        await next.seal()
        return DoctorDisk(disk: next.disk, released: released)
    }

    private static func start(_ disk: MemoryDisk) async throws -> WALStart {
        try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: path, files: disk.files
        ).start
    }

    private static func closed(_ log: TestLog) -> [WALFileContents] {
        log.notices.flatMap { $0 }.compactMap { if case .fileClosed(let contents) = $0 { contents } else { nil } }
    }

    private static func writeFiles(_ released: [LogIndex], _ files: AsyncFiles) async throws {
        let first = SegmentFiles(directory: servers(1), uid: Sample.uid(1), files: files)
        let second = SegmentFiles(directory: servers(2), uid: Sample.uid(2), files: files)
        for directory in [first, second] { try await files.durablyMakeDirectory(directory.directory) }
        let table = MemoryTable()
        let last = released[0].rawValue
        table.append(Sample.entryBytes(1...last, term: 1, body: 1_000), first: 1, count: Int(last))
        for (number, range) in [(UInt64(1), 1...10), (2, 11...released[0])] as [(UInt64, ClosedRange<LogIndex>)] {
            _ = try await SegmentWriter(first).write(
                table.regions(from: range.lowerBound, through: range.upperBound), from: number, salt: 0x11 + number)
        }
        try await write(.snapshot, 12, of: 1, live: [2, 5, 9], files)
        try await write(.checkpoint, 20, of: 1, live: [2, 5, 15], files)
        var sparse = SegmentWriter(second).begin(installing: released[1], term: 1, from: 1, salt: 0x21)
        for index in [3, 8] as [UInt64] { try await sparse.append(Sample.entryBytes(index...index, term: 1)) }
        _ = try await sparse.finish()
        try await write(.snapshot, released[1].rawValue, of: 2, live: [3, 8], files)
    }

    private static func write(
        _ kind: SnapshotKind, _ index: UInt64, of number: UInt64, live: [UInt64], _ files: AsyncFiles
    ) async throws {
        var pieces = Sample.pieces(500, 300)[...]
        _ = try await SnapshotWriter(
            directory: SnapshotDirectory(
                path: servers(number), server: Sample.uid(number), cluster: Sample.clusterID), files: files
        ).write(Sample.metadata(index, term: 1), kind: kind, live: Sample.live(live), salt: 0x31 + index) {
            pieces.popFirst()
        }
    }

    // MARK: Use

    /// The same disk after something was done to it.
    func changed(_ body: (MemoryFileSystem) throws -> Void) rethrows -> DoctorDisk {
        let copy = MemoryFileSystem(copying: disk, handler: { _ in })
        try body(copy)
        return DoctorDisk(disk: copy, released: released)
    }

    /// The same disk with one file changed.
    func changed(_ path: String, _ body: (inout [UInt8]) -> Void) -> DoctorDisk { changed { $0.change(path, body) } }

    /// Lets the doctor look at it.
    func examine(
        walPath: String? = DoctorDisk.walPath, _ prepare: (MemoryFileSystem) -> Void = { _ in }
    ) async throws(StorageError) -> Result {
        let router = Router(log: CompletionQueue())
        let copy = MemoryFileSystem(copying: disk) { router.route($0) }
        prepare(copy)
        let watch = Watch(copy)
        let files = AsyncFiles { handler in
            router.jobs = handler
            return watch
        }
        let found = Found()
        let summary = try await Doctor(dataDirectory: Self.path, walDirectory: walPath, files: files)
            .examine { found.add($0) }
        return Result(findings: found.all, summary: summary, changes: watch.changes)
    }

    /// Collects findings.
    private final class Found: Sendable {
        private let findings = Mutex<[Finding]>([])
        var all: [Finding] { findings.withLock { $0 } }
        func add(_ finding: Finding) { findings.withLock { $0.append(finding) } }
    }

    /// The only file of a directory whose name begins and ends so.
    func path(in directory: String, _ prefix: String, _ suffix: String = "") -> String {
        let names = disk.names(in: directory).filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
        precondition(names.count == 1, "\(names.count) files \(prefix)…\(suffix) in \(directory)")
        return "\(directory)/\(names[0])"
    }
}
