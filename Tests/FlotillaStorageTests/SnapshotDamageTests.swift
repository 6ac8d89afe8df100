import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Testing

/// Nothing that was changed in a snapshot is ever accepted.
@Suite struct SnapshotDamageTests {
    private let pieces = Sample.pieces(40, 0, 40, 300)
    private let live = Sample.live([3, 50, 100])

    private func small() async throws -> (disk: SnapshotDisk, file: SnapshotFile) {
        let disk = try await SnapshotDisk()
        return (disk, try await disk.write(pieces: pieces, live: live))
    }

    /// Loads and reads a changed file; both may refuse it, at least one must, and only by telling damage in it.
    @discardableResult
    private func expectRefused(
        _ disk: SnapshotDisk, _ file: SnapshotFile, _ comment: Comment, code: StorageError.Code = .corrupt
    ) async -> StorageError? {
        let error = await #expect(throws: StorageError.self, comment) { try await disk.read(file) }
        #expect(error?.code == code, comment)
        if code == .corrupt {
            #expect(error?.damages.isEmpty == false, comment)
            #expect(error?.damages.allSatisfy { $0.file == file.path && $0.server == Sample.uid(1) } == true, comment)
        }
        do {
            let (set, damages) = try await disk.load()
            #expect(set.snapshots.isEmpty == !damages.isEmpty, comment)
            #expect(set.damaged.count == damages.count, comment)
        } catch {
            #expect(error.code == code, comment)
        }
        return error
    }

    @Test func `a flipped bit in any byte is told`() async throws {
        let (disk, file) = try await small()
        for place in 0..<Int(file.bytes) {
            for bit in [UInt8(place % 8), UInt8(place / 8 % 8)] {
                let changed = disk.changed(file) { $0[place] ^= 1 << bit }
                let damage = await expectRefused(changed, file, "bit \(bit) of byte \(place)")?.damages.first
                #expect((damage?.offset ?? .max) <= UInt64(place))
            }
        }
    }

    @Test func `a file that is cut anywhere is told`() async throws {
        let (disk, file) = try await small()
        for length in 0..<Int(file.bytes) {
            await expectRefused(
                disk.changed(file) { $0.removeLast($0.count - length) }, file, "cut to \(length) bytes")
        }
    }

    @Test func `bytes that were added or removed anywhere are told`() async throws {
        let (disk, file) = try await small()
        for place in 0...Int(file.bytes) {
            await expectRefused(disk.changed(file) { $0.insert(0, at: place) }, file, "one more byte at \(place)")
            guard place < Int(file.bytes) else { continue }
            await expectRefused(disk.changed(file) { _ = $0.remove(at: place) }, file, "no byte \(place)")
        }
        await expectRefused(disk.changed(file) { $0 += $0 }, file, "the file twice")
        await expectRefused(disk.changed(file) { $0 += $0[($0.count - 64)...] }, file, "the end twice")
    }

    @Test func `zeros in the place of any range are told`() async throws {
        let (disk, file) = try await small()
        let bytes = disk.disk.contents(file.path)
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let range = start..<min(bytes.count, start + 16)
            guard bytes[range].contains(where: { $0 != 0 }) else { continue }
            await expectRefused(
                disk.changed(file) { bytes in for place in range { bytes[place] = 0 } }, file, "zeros at \(start)")
        }
    }

    @Test func `blocks that changed places are told`() async throws {
        let (disk, file) = try await small()
        let blocks = Blocks(disk.disk.contents(file.path))
        // The first and the third piece of state are equally long; the live indexes stand before them.
        let first = blocks.ranges[1]
        let third = blocks.ranges[3]
        #expect(first.count == third.count)
        let error = await expectRefused(
            disk.changed(file) { bytes in
                let kept = Array(bytes[first])
                bytes.replaceSubrange(first, with: Array(bytes[third]))
                bytes.replaceSubrange(third, with: kept)
            }, file, "swapped")
        #expect(error?.damages.map(\.kind) == [.snapshotBlock])
        #expect(error?.damages.map(\.offset) == [UInt64(first.lowerBound)])
        for range in blocks.ranges.dropLast() {
            await expectRefused(disk.changed(file) { $0.removeSubrange(range) }, file, "block gone")
            await expectRefused(
                disk.changed(file) { $0.insert(contentsOf: $0[range], at: range.upperBound) }, file, "block twice")
        }
    }

    @Test func `no part of another file is taken, even at the same place`() async throws {
        let (disk, file) = try await small()
        // The same snapshot with another salt, and one that differs in nothing but its term.
        let again = try await SnapshotDisk().write(pieces: pieces, live: live, salt: 0x5a18)
        #expect(again == file)
        let other = try await SnapshotDisk()
        _ = try await other.write(pieces: pieces, live: live, salt: 0x5a18)
        let later = try await other.write(term: 8, pieces: pieces, live: live)
        for source in [file.path, later.path] {
            let bytes = other.disk.contents(source)
            let blocks = Blocks(bytes)
            #expect(bytes.count == Int(file.bytes))
            for range in [0..<blocks.ranges[0].lowerBound] + blocks.ranges {
                await expectRefused(
                    disk.changed(file) { $0.replaceSubrange(range, with: bytes[range]) }, file,
                    "\(range) of \(source)")
            }
        }
    }

    @Test func `a snapshot under another name is told`() async throws {
        let (disk, file) = try await small()
        let names = [
            "snapshot-0000000000000065-0000000000000007.snap", "checkpoint-0000000000000064-0000000000000008.snap",
            "snapshot-ffffffffffffffff-0000000000000007.snap",
        ]
        for name in names {
            let copy = SnapshotDisk(copying: disk)
            copy.disk.move(file.path, to: copy.path(name))
            let (set, damages) = try await copy.load()
            #expect(set.snapshots.isEmpty && set.checkpoints.isEmpty)
            #expect(damages.map(\.file) == [copy.path(name)])
            #expect(damages.map(\.kind) == [.fileHeader])
            #expect(set.damaged.map(\.name) == [name])
        }
    }

    @Test func `a snapshot of another cluster is told`() async throws {
        let disk = try await SnapshotDisk()
        let other = Sample.metadata(5, term: 1, cluster: ClusterID(high: 1, low: 1))
        _ = try await disk.write(other)
        let (set, damages) = try await disk.load()
        #expect(set.newestSnapshot == nil && damages.map(\.kind) == [.fileHeader])
    }

    @Test func `another major version is refused, and nothing is taken for damaged`() async throws {
        let (disk, file) = try await small()
        let newer = disk.changed(file) { bytes in
            bytes[8] = 2
            let checksum = Checksum.crc32c(Array(bytes[..<28]))
            withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(28..<32, with: $0) }
        }
        await expectRefused(newer, file, "version 2", code: .version)
        let error = await #expect(throws: StorageError.self) { try await newer.load() }
        #expect(error?.code == .version)
    }

    @Test func `names that are no snapshot's are left alone`() async throws {
        let disk = try await SnapshotDisk()
        let memory = AlignedMemory(capacity: 1)
        let names = [
            "0000000000000001.seg", "0000000000000002.seg.tmp", "checkpoint-1-1.snap",
            "snapshot-00000000000000AB-0000000000000007.snap", "snapshot-0000000000000064.snap", "snapshot-x",
        ]
        for name in names {
            try await disk.files.durablyReplace(name, in: SnapshotDisk.directory.path, count: 1, from: memory)
        }
        let (set, damages) = try await disk.load()
        #expect(set == SnapshotSet(directory: SnapshotDisk.directory) && damages.isEmpty)
        #expect(disk.names == names.sorted())
    }

    @Test func `a damaged snapshot does not hide the others`() async throws {
        let disk = try await SnapshotDisk()
        let old = try await disk.write(at: 10)
        let damaged = try await disk.write(at: 20)
        let checkpoint = try await disk.write(.checkpoint, at: 30)
        disk.disk.change(damaged.path) { $0[3] ^= 1 }
        let (set, damages) = try await disk.load()
        #expect(set.snapshots == [old] && set.checkpoints == [checkpoint])
        #expect(set.damaged.map(\.name) == [damaged.name])
        #expect(damages.count == 1)
    }
}

/// Where the blocks of a file stand.
struct Blocks {
    private(set) var ranges: [Range<Int>] = []

    init(_ bytes: [UInt8]) {
        func number(_ place: Int) -> Int {
            bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var next = 32 + number(12)
        while next < bytes.count {
            let end = next + 16 + number(next + 4)
            ranges.append(next..<end)
            next = end
        }
    }
}
