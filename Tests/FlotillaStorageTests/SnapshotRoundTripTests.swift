import FlotillaStorage
import FlotillaWire
import Foundation
import NIOCore
import Testing

@Suite struct SnapshotRoundTripTests {
    @Test func `an empty snapshot is read as it was written`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write()
        #expect(file.name == "snapshot-0000000000000064-0000000000000007.snap")
        #expect(disk.names == [file.name])
        #expect(Int(file.bytes) == disk.disk.contents(file.path).count)
        let contents = try await disk.read(file)
        #expect(contents == SnapshotContents(metadata: Sample.metadata(100, term: 7)))
    }

    @Test func `many pieces of all lengths are read as they were written`() async throws {
        let disk = try await SnapshotDisk()
        let lengths = [0, 1, 5, 256 << 10, (1 << 20) - 200, 1 << 20, (1 << 20) + 1, 3 << 20, 0, 70_000]
        let pieces = lengths.flatMap { Sample.pieces($0, 17) }
        let file = try await disk.write(pieces: pieces)
        let contents = try await disk.read(file)
        #expect(contents.pieces == pieces)
        #expect(contents.live.isEmpty && file.liveCount == 0)
    }

    @Test func `sessions stand before the state`() async throws {
        let disk = try await SnapshotDisk()
        let (sessions, state) = (Sample.pieces(300, 70_000), Sample.pieces(10))
        var rest = state[...]
        let file = try await SnapshotWriter(directory: SnapshotDisk.directory, files: disk.files).write(
            Sample.metadata(100, term: 7), kind: .snapshot, live: Sample.live([4]), sessions: sessions, salt: 3
        ) { rest.popFirst() }
        let contents = try await disk.read(file)
        #expect(contents.sessions == sessions && contents.pieces == state && contents.live == Sample.live([4]))
        let (set, damages) = try await disk.load()
        #expect(set.snapshots.count == 1 && damages.isEmpty)
    }

    @Test func `a file is written in transfers of at most a mebibyte, each byte once`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: Sample.pieces(300_000, 5 << 20, 100))
        var next = 0
        for line in disk.disk.journal where line.hasPrefix("write") {
            let fields = line.split(separator: " ")
            let count = try #require(Int(fields[3]))
            #expect(Int(fields[2]) == next && count <= 1 << 20)
            next += count
        }
        #expect(next == Int(file.bytes))
    }

    @Test func `the longest piece fits, and a longer one is refused`() async throws {
        let disk = try await SnapshotDisk()
        let longest = ByteBuffer(repeating: 1, count: (16 << 20) + (64 << 10))
        let file = try await disk.write(pieces: [longest])
        #expect(try await disk.read(file).pieces == [longest])
        let tooLong = ByteBuffer(repeating: 1, count: longest.readableBytes + 1)
        await #expect(throws: SnapshotRefusal.pieceTooLong(tooLong.readableBytes)) {
            try await disk.write(at: 101, pieces: [tooLong])
        }
        #expect(disk.names == [file.name])
    }

    @Test func `live indexes are read without the state, and before it`() async throws {
        let disk = try await SnapshotDisk()
        let live = Sample.live((1...200_000).map { $0 * 3 })
        let file = try await disk.write(at: 1_000_000, pieces: Sample.pieces(9_000), live: live)
        #expect(file.liveCount == 200_000)
        #expect(try await disk.read(file).live == live)
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            #expect(reader.liveCount == 200_000)
            _ = try await reader.nextPiece()
            #expect(try await reader.liveIndexes() == live)
            guard case .live = try await reader.nextPiece() else {
                Issue.record("the first piece does not come again")
                return
            }
            try await reader.verify()
        }
    }

    @Test func `an end that was read stays the end`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: Sample.pieces(10))
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            #expect(try await reader.nextPiece() == .state(Sample.pieces(10)[0]))
            #expect(try await reader.nextPiece() == nil)
            #expect(try await reader.nextPiece() == nil)
        }
    }

    @Test func `raw reads give the bytes of the file and nothing behind it`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: Sample.pieces(2_500_000))
        let bytes = disk.disk.contents(file.path)
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            var got: [UInt8] = []
            while case let part = try await reader.read(at: UInt64(got.count), count: 300_000), part.readableBytes > 0 {
                got += Array(part.readableBytesView)
            }
            #expect(got == bytes)
            #expect(try await reader.read(at: 7, count: 2 << 20).readableBytes == 1 << 20)
            for offset in [file.bytes, file.bytes + 1, .max] {
                #expect(try await reader.read(at: offset, count: 1).readableBytes == 0)
            }
            #expect(try await reader.read(at: 0, count: -1).readableBytes == 0)
            try await reader.verify()
        }
    }

    @Test func `metadata survives, also with what a newer version adds`() throws {
        var metadata = Sample.metadata(5, term: 2)
        for digest in [nil, ByteBuffer(repeating: 9, count: 32)] {
            metadata.stateDigest = digest
            var buffer = ByteBuffer()
            metadata.encode(into: &buffer)
            let length = buffer.readableBytes
            buffer.writeString("of a later version")
            var reader = WireReader(buffer)
            #expect(try SnapshotMetadata(from: &reader) == metadata)
            for cut in 0..<length {
                var short = WireReader(buffer.getSlice(at: 0, length: cut) ?? ByteBuffer())
                #expect(throws: WireError.self) { try SnapshotMetadata(from: &short) }
            }
        }
    }

    @Test func `what could never be read again is not written`() async throws {
        let disk = try await SnapshotDisk()
        var ahead = Sample.metadata(5, term: 2)
        ahead.configurationIndex = 6
        var alone = Sample.metadata(5, term: 2)
        alone.configuration.members = []
        var digest = Sample.metadata(5, term: 2)
        digest.stateDigest = ByteBuffer(repeating: 1, count: 65)
        for metadata in [ahead, alone, digest, Sample.metadata(0, term: 2), Sample.metadata(.max, term: 2)] {
            await #expect(throws: SnapshotRefusal.metadata) { try await disk.write(metadata) }
        }
        await #expect(throws: SnapshotRefusal.liveIndexOutside(101)) {
            try await disk.write(live: Sample.live([1, 101]))
        }
        await #expect(throws: SnapshotRefusal.liveIndexOutside(0)) { try await disk.write(live: Sample.live([0, 5])) }
        #expect(disk.names.isEmpty)
    }

    @Test func `the operating system's files hold snapshots as well`() async throws {
        let path = NSTemporaryDirectory() + "flotilla-snapshots-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        let files = AsyncFiles()
        try await files.durablyMakeDirectory(path)
        let directory = SnapshotDirectory(path: path, server: Sample.uid(1), cluster: Sample.clusterID)
        var rest = Sample.pieces(40, 1_500_000, 0)[...]
        let written = try await SnapshotWriter(directory: directory, files: files)
            .write(Sample.metadata(9, term: 1), kind: .checkpoint, live: Sample.live([2, 4]), salt: 1) {
                rest.popFirst()
            }
        let promoted = try await written.durablyPromote(files)
        var receiver = try await SnapshotReceiver.begin(
            directory: directory, index: 10, term: 1, length: 5_000, files: files)
        try await receiver.append(at: 0, ByteBuffer(repeating: 1, count: 5_000))
        await #expect(throws: StorageError.self) { try await receiver.finish() }
        let (set, damages) = try await SnapshotSet.load(directory: directory, files: files)
        #expect(set.snapshots == [promoted] && set.checkpoints.isEmpty && damages.isEmpty)
        try await SnapshotReader.with(promoted, files: files) { (reader) async throws(StorageError) in
            try await reader.verify()
        }
        try await SnapshotSet.durablyRemove([promoted], files: files)
        #expect(try await files.list(path).isEmpty)
    }
}
