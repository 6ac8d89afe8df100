import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaStorage

/// Segments that are made good with entries from elsewhere.
@Suite struct SegmentRepairTests {
    private let live = LiveIndexes([2, 11, 25].map { LogIndex($0) })

    /// A log in three segments; the second, entries 11 to 30 as they are shown, has damaged bodies at 15 and 25.
    private func damaged() async throws -> SegmentDisk {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...10, term: 1, number: 1)
        try await disk.write(11...40, term: 1, number: 2)
        try await disk.write(31...50, term: 2, number: 3)
        let entry = Sample.entryBytes(1...1, term: 1).readableBytes
        return disk.changed(2) { bytes in
            for index in [15, 25] { bytes[SegmentFormat.entriesOffset + (index - 11 + 1) * entry - 3] ^= 1 }
        }
    }

    private func repair(
        _ disk: SegmentDisk, through: LogIndex = .zero
    ) async throws -> SegmentRepair {
        let slice = try #require(try await disk.load().set.slice(of: 2))
        #expect(slice.range == 11...30)
        return SegmentRepair(
            files: disk.segments, reader: disk.reader,
            order: RepairOrder(slice: slice, snapshot: nil, through: through, number: 9, salt: 3), live: live)
    }

    private func found(_ indexes: [UInt64]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for index in indexes { bytes.writeImmutableBuffer(Sample.entryBytes(index...index, term: 1)) }
        return bytes
    }

    private let whole = Sample.entryBytes(1...30, term: 1).array + Sample.entryBytes(31...50, term: 2).array

    @Test func `finds what is missing and writes all of it anew`() async throws {
        let disk = try await damaged()
        var set = try await disk.load().set
        let repair = try await repair(disk)
        #expect(try await repair.missing() == [15, 25])
        let segment = try #require(try await repair.write(found([15, 25])))
        #expect(segment.count == 20 && segment.isDense)
        #expect(set.add(segment) == [2])
        #expect(try await disk.log(set) == whole)
        try await disk.segments.remove([2])
        let later = try await SegmentDisk(on: disk.disk).load()
        #expect(later.damages.isEmpty)
        #expect(try await disk.log(later.set) == whole)
    }

    @Test func `needs of what a snapshot covers only what is live`() async throws {
        let disk = try await damaged()
        #expect(try await repair(disk, through: 20).missing() == [25])
        #expect(try await repair(disk, through: 30).missing() == [25])
        let segment = try #require(try await repair(disk, through: 30).write(found([25])))
        #expect(segment.count == 2 && segment.first == 11 && segment.last == 25)
        let dense = try #require(try await repair(try await damaged(), through: 20).write(found([25])))
        #expect(dense.count == 11, "entry 11, and 21 to 30")
    }

    @Test func `needs all of a segment that is not there or can't be opened`() async throws {
        let disk = try await damaged()
        let gone = try await repair(disk)
        try await disk.segments.remove([2])
        #expect(try await gone.missing() == (11...30).map { LogIndex($0) })
        let segment = try #require(try await gone.write(found(Array(11...30))))
        #expect(segment.count == 20)
        let cut = try await damaged()
        let headless = try await repair(cut)
        let changed = cut.changed(2) { $0.removeLast($0.count - 3_000) }
        let same = SegmentRepair(files: changed.segments, reader: changed.reader, order: headless.order, live: live)
        let missing = try await same.missing()
        #expect(missing.count == 20)
    }

    @Test func `does nothing while something is still missing`() async throws {
        let disk = try await damaged()
        let names = disk.names
        for entries in [found([]), found([15]), found([25])] {
            let error = await #expect(throws: StorageError.self) { try await repair(disk).write(entries) }
            #expect(error?.code == .corrupt)
        }
        #expect(disk.names == names)
    }

    @Test func `a crash after any operation leaves the damaged segment or the one in its place`() async throws {
        let start = try await damaged()
        var operations = 0
        var isDone = false
        while !isDone {
            let disk = SegmentDisk(on: start.disk)
            let repair = try await repair(disk)
            disk.disk.die(after: operations)
            do {
                let segment = try #require(try await repair.write(found([15, 25])))
                var set = try await start.load().set
                try await disk.segments.remove(set.add(segment))
                isDone = true
            } catch is StorageError {}
            for after in [disk.afterPowerFailure(), SegmentDisk(on: disk.disk)] {
                let loaded = try await after.load()
                #expect(loaded.damages.isEmpty)
                #expect(after.names.allSatisfy { $0.hasSuffix(".seg") })
                if loaded.set.slice(of: 2) == nil {
                    #expect(try await after.log(loaded.set) == whole)
                } else {
                    #expect(!isDone)
                    let again = SegmentRepair(
                        files: after.segments, reader: after.reader, order: repair.order, live: live)
                    #expect(try await again.missing() == [15, 25])
                }
            }
            operations += 1
        }
        #expect(operations > 8)
    }
}
