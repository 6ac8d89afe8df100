import FlotillaStorage
import FlotillaWire
import NIOCore

/// The directory of one server on files in memory.
struct SegmentDisk {
    static let servers = "/servers"
    static let uid = Sample.uid(1)
    static let directory = SegmentFormat.directory(of: uid, in: servers)

    let disk: MemoryFileSystem
    let files: AsyncFiles
    let segments: SegmentFiles
    let reader: SegmentReader

    /// An empty directory.
    static func make() async throws -> SegmentDisk {
        let disk = SegmentDisk(on: MemoryFileSystem())
        try await disk.files.durablyMakeDirectory(directory)
        return disk
    }

    /// A later life on the contents of a disk.
    init(on other: MemoryFileSystem, openFiles: Int = 64) {
        let router = Router(log: CompletionQueue())
        let disk = MemoryFileSystem(copying: other) { router.route($0) }
        self.disk = disk
        files = AsyncFiles { handler in
            router.jobs = handler
            return Tagged(disk: disk)
        }
        segments = SegmentFiles(directory: Self.directory, uid: Self.uid, files: files)
        reader = SegmentReader(servers: Self.servers, files: files, capacity: openFiles)
    }

    /// What is left after a power failure.
    func afterPowerFailure() -> SegmentDisk {
        let copy = SegmentDisk(on: disk)
        copy.disk.losePower()
        return copy
    }

    /// The same disk with one file changed.
    func changed(_ number: UInt64, _ body: (inout [UInt8]) -> Void) -> SegmentDisk {
        let copy = SegmentDisk(on: disk)
        copy.disk.change(segments.path(number), body)
        return copy
    }

    var names: [String] { disk.names(in: Self.directory) }

    func load() async throws -> LoadedSegments {
        try await SegmentSet.load(directory: Self.directory, uid: Self.uid, files: files)
    }

    /// Writes consecutive entries of one term.
    @discardableResult
    func write(
        _ indexes: ClosedRange<UInt64>, term: UInt64, number: UInt64, body: Int = 20,
        limits: SegmentLimits = SegmentLimits()
    ) async throws -> [Segment] {
        try await SegmentWriter(segments, limits: limits).write(
            [Self.region(indexes, term: term, body: body)], from: number, salt: 0x5a17 &+ number)
    }

    static func region(_ indexes: ClosedRange<UInt64>, term: UInt64, body: Int = 20) -> MemoryTable.Region {
        var table = MemoryTable(after: LogIndex(indexes.lowerBound - 1))
        return withTable(&table, indexes, Sample.entryBytes(indexes, term: term, body: body))
    }

    /// The only way to a region is a table.
    private static func withTable(
        _ table: inout MemoryTable, _ indexes: ClosedRange<UInt64>, _ bytes: ByteBuffer
    ) -> MemoryTable.Region {
        table.append(bytes, first: LogIndex(indexes.lowerBound), count: indexes.count)
        return table.regions(from: LogIndex(indexes.lowerBound), through: LogIndex(indexes.upperBound))[0]
    }

    /// All entries that a set shows behind a floor, read through the reader.
    func log(_ set: SegmentSet, behind floor: LogIndex = .zero, maxBytes: Int = 1 << 20) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var next = floor.next
        let last = set.lastIndex(behind: floor)
        while next <= last {
            let regions = try await reader.entries(set.slices(from: next, through: last), maxBytes: maxBytes)
            for region in regions {
                guard region.first == next else { return [] }
                bytes += Array(region.bytes.readableBytesView)
                next = region.last.next
            }
        }
        return bytes
    }

    /// One entry by way of a set.
    func entry(_ index: LogIndex, _ set: SegmentSet) async -> SegmentEntry {
        guard let segment = set.lookUp(index) else { return .missing }
        return await reader.entry(at: index, in: segment)
    }
}

extension ByteBuffer {
    var array: [UInt8] { Array(readableBytesView) }
}
