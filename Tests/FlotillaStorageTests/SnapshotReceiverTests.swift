import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Testing

/// A snapshot that comes from another node, which may say whatever it likes.
@Suite struct SnapshotReceiverTests {
    private let incoming = "incoming-0000000000000064-0000000000000007.tmp"

    /// A snapshot as another node has it.
    private struct Sent {
        let file: SnapshotFile
        let bytes: [UInt8]

        init(cluster: ClusterID = Sample.clusterID, index: UInt64 = 100, term: UInt64 = 7) async throws {
            let disk = try await SnapshotDisk()
            file = try await disk.write(
                Sample.metadata(index, term: term, cluster: cluster), pieces: Sample.pieces(5_000, 300, 1_500_000),
                live: Sample.live([4, 7]))
            bytes = disk.disk.contents(file.path)
        }

        func part(_ range: Range<Int>) -> ByteBuffer { ByteBuffer(bytes: bytes[range]) }
    }

    private func begin(
        _ disk: SnapshotDisk, length: UInt64, limit: UInt64 = SnapshotReceiver.longest
    ) async throws(StorageError) -> SnapshotReceiver {
        try await SnapshotReceiver.begin(
            directory: SnapshotDisk.directory, index: 100, term: 7, length: length, limit: limit, files: disk.files)
    }

    @Test func `a snapshot in one part or in many is committed as it was sent`() async throws {
        let sent = try await Sent()
        for part in [sent.bytes.count, 65_537, 2_000_000] {
            let disk = try await SnapshotDisk()
            var receiver = try await begin(disk, length: sent.file.bytes)
            while receiver.received < sent.file.bytes {
                let start = Int(receiver.received)
                try await receiver.append(
                    at: UInt64(start), sent.part(start..<min(start + part, sent.bytes.count)))
            }
            #expect(try await receiver.finish() == Sample.metadata(100, term: 7))
            #expect(try await receiver.finish() == Sample.metadata(100, term: 7))
            #expect(disk.names == [incoming])
            let committed = try await receiver.commit()
            #expect(committed == sent.file && committed.liveCount == 2)
            #expect(disk.disk.contents(committed.path) == sent.bytes)
            await receiver.abandon()
            #expect(disk.names == [committed.name])
        }
    }

    @Test func `gaps and overlaps add nothing and say where to go on`() async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        var receiver = try await begin(disk, length: sent.file.bytes)
        #expect(try await receiver.append(at: 1, sent.part(1..<50)) == 0)
        #expect(try await receiver.append(at: .max, sent.part(1..<50)) == 0)
        #expect(try await receiver.append(at: 0, sent.part(0..<50)) == 50)
        #expect(try await receiver.append(at: 0, sent.part(0..<50)) == 50)
        #expect(try await receiver.append(at: 49, sent.part(49..<99)) == 50)
        #expect(try await receiver.append(at: 51, sent.part(51..<99)) == 50)
        #expect(try await receiver.append(at: 50, ByteBuffer()) == 50)
        #expect(disk.disk.contents(disk.path(incoming)) == Array(sent.bytes[..<50]))
        try await receiver.append(at: 50, sent.part(50..<sent.bytes.count))
        _ = try await receiver.finish()
        #expect(try await receiver.append(at: sent.file.bytes, ByteBuffer(string: "x")) == sent.file.bytes)
        #expect(try await receiver.commit() == sent.file)
    }

    @Test func `what a disk has lost is not sent once more into the same file`() async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        disk.disk.fail("write out", on: incoming, errno: EIO, once: true)
        var receiver = try await begin(disk, length: sent.file.bytes)
        for _ in 0..<2 {
            let error = await #expect(throws: StorageError.self) {
                try await receiver.append(at: 0, sent.part(0..<sent.bytes.count))
            }
            #expect(error?.cause?.operation == "write out")
        }
        await #expect(throws: StorageError.self) { try await receiver.finish() }
        await receiver.abandon()
        #expect(disk.names.isEmpty)
    }

    @Test func `lies about the length are found`() async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        let tooLong = await #expect(throws: StorageError.self) {
            try await begin(disk, length: sent.file.bytes, limit: sent.file.bytes - 1)
        }
        #expect(tooLong?.code == .tooLarge)
        for length in [0, 95, .max] as [UInt64] {
            await #expect(throws: StorageError.self) { try await begin(disk, length: length) }
        }
        #expect(disk.names.isEmpty)

        var short = try await begin(disk, length: sent.file.bytes - 1)
        let more = await #expect(throws: StorageError.self) {
            try await short.append(at: 0, sent.part(0..<sent.bytes.count))
        }
        #expect(more?.code == .tooLarge && short.received == 0)
        try await short.append(at: 0, sent.part(0..<sent.bytes.count - 1))
        let cut = await #expect(throws: StorageError.self) { try await short.finish() }
        #expect(cut?.damages.map(\.kind) == [.snapshotEnd])
        await short.abandon()

        var long = try await begin(disk, length: sent.file.bytes + 1)
        try await long.append(at: 0, sent.part(0..<sent.bytes.count))
        let missing = await #expect(throws: StorageError.self) { try await long.finish() }
        #expect(missing?.damages.map(\.kind) == [.fileLength])
        try await long.append(at: sent.file.bytes, ByteBuffer(string: "x"))
        await #expect(throws: StorageError.self) { try await long.finish() }
        await long.abandon()
        #expect(disk.names.isEmpty)
    }

    @Test func `another snapshot than was announced is refused`() async throws {
        let others = [
            try await Sent(cluster: ClusterID(high: 1, low: 1)), try await Sent(index: 101), try await Sent(term: 8),
        ]
        for sent in others {
            let disk = try await SnapshotDisk()
            var receiver = try await begin(disk, length: sent.file.bytes)
            try await receiver.append(at: 0, sent.part(0..<sent.bytes.count))
            let error = await #expect(throws: StorageError.self) { try await receiver.finish() }
            #expect(error?.damages.map(\.kind) == [.fileHeader])
            #expect(error?.damages.first?.file == disk.path(incoming))
            let again = await #expect(throws: StorageError.self) { try await receiver.finish() }
            #expect(again == error)
            await receiver.abandon()
            #expect(disk.names.isEmpty)
        }
    }

    @Test func `a byte that changed on its way is found anywhere`() async throws {
        let sender = try await SnapshotDisk()
        let file = try await sender.write(pieces: Sample.pieces(200), live: Sample.live([4, 7]))
        let bytes = sender.disk.contents(file.path)
        for place in bytes.indices {
            let disk = try await SnapshotDisk()
            var receiver = try await begin(disk, length: file.bytes)
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8)
            try await receiver.append(at: 0, ByteBuffer(bytes: changed))
            await #expect(throws: StorageError.self, "byte \(place)") { try await receiver.finish() }
            await receiver.abandon()
            #expect(disk.names.isEmpty)
        }
    }

    @Test func `a full disk can be tried again from the same place`() async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        var receiver = try await begin(disk, length: sent.file.bytes)
        try await receiver.append(at: 0, sent.part(0..<10))
        disk.disk.fail("write", on: incoming, errno: ENOSPC, once: true, after: 1)
        let error = await #expect(throws: StorageError.self) {
            try await receiver.append(at: 10, sent.part(10..<sent.bytes.count))
        }
        #expect(error?.cause?.isOutOfSpace == true && receiver.received == 10)
        try await receiver.append(at: 10, sent.part(10..<sent.bytes.count))
        _ = try await receiver.finish()
        #expect(try await receiver.commit() == sent.file)
    }

    @Test(arguments: ["sync", "close", "open", "read"])
    func `what failed once while it was verified is never trusted`(operation: String) async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        var receiver = try await begin(disk, length: sent.file.bytes)
        try await receiver.append(at: 0, sent.part(0..<sent.bytes.count))
        disk.disk.fail(operation, on: incoming, errno: EIO, once: true)
        for _ in 0..<2 {
            let error = await #expect(throws: StorageError.self) { try await receiver.finish() }
            #expect(error?.cause?.operation == operation)
        }
        await receiver.abandon()
        #expect(disk.names.isEmpty)
    }

    @Test func `an older attempt under the same name is forgotten`() async throws {
        let sent = try await Sent()
        let disk = try await SnapshotDisk()
        var first = try await begin(disk, length: sent.file.bytes)
        try await first.append(at: 0, sent.part(100..<3_000))
        var second = try await begin(disk, length: sent.file.bytes)
        try await second.append(at: 0, sent.part(0..<sent.bytes.count))
        _ = try await second.finish()
        #expect(try await second.commit() == sent.file)
    }
}
