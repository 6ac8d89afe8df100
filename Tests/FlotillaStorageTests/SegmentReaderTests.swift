import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Testing

@Suite struct SegmentReaderTests {
    private func manySegments() async throws -> (SegmentDisk, SegmentSet) {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...100, term: 1, number: 1, limits: SegmentLimits(maxEntries: 5))
        return (disk, try await disk.load().set)
    }

    @Test func noMoreFilesAreOpenThanTheCacheHolds() async throws {
        let (disk, set) = try await manySegments()
        let small = SegmentDisk(on: disk.disk, openFiles: 3)
        for round in 0..<3 as Range<UInt64> {
            for index in 1...100 as ClosedRange<UInt64> {
                let place = (index &* 37 &+ round) % 100 + 1
                #expect(
                    await small.entry(LogIndex(place), set) == .entry(Sample.entryBytes(place...place, term: 1)))
                #expect(small.reader.openFiles <= 3)
            }
        }
        #expect(try await small.log(set) == Sample.entryBytes(1...100, term: 1).array)
        await small.reader.forget(SegmentDisk.uid)
        #expect(small.reader.openFiles == 0)
    }

    @Test func aSegmentThatIsUsedStaysOpen() async throws {
        let (disk, set) = try await manySegments()
        let small = SegmentDisk(on: disk.disk, openFiles: 2)
        for index in [1, 6, 1, 11, 1, 16, 1] as [LogIndex] { _ = await small.entry(index, set) }
        // The first was opened once only: its file is gone, and it can still be read.
        small.disk.move(small.segments.path(1), to: nil)
        small.disk.move(small.segments.path(2), to: nil)
        #expect(await small.entry(2, set) == .entry(Sample.entryBytes(2...2, term: 1)))
        let second = try #require(set.lookUp(6))
        #expect(await small.entry(6, set) == .unreadable(.removed(second)))
    }

    @Test func jobsAtTheSameTimeReadTheSame() async throws {
        let (disk, set) = try await manySegments()
        let small = SegmentDisk(on: disk.disk, openFiles: 2)
        await withTaskGroup(of: Bool.self) { group in
            for job in 0..<8 as Range<UInt64> {
                group.addTask {
                    for step in 0..<60 as Range<UInt64> {
                        let index = (step &* 13 &+ job &* 7) % 100 + 1
                        if step % 20 == 19 { await small.reader.forget(SegmentDisk.uid, numbers: [index % 20 + 1]) }
                        let entry = await small.entry(LogIndex(index), set)
                        if entry != .entry(Sample.entryBytes(index...index, term: 1)) { return false }
                    }
                    return true
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        #expect(small.reader.openFiles <= 2)
    }

    @Test func aReadThatFailsIsToldWithTheIdentity() async throws {
        let (disk, set) = try await manySegments()
        _ = await disk.entry(1, set)
        disk.disk.fail("read", on: ".seg", errno: EIO)
        guard case .unreadable(.failed(let error, let identity)) = await disk.entry(3, set) else {
            Issue.record("an entry in spite of a read error")
            return
        }
        #expect(error.cause?.errno == EIO && identity?.index == 3 && identity?.term == 1)
        guard case .unreadable(.failed(_, nil)) = await disk.entry(50, set) else {
            Issue.record("an entry of a segment that can't be opened")
            return
        }
        disk.disk.heal()
        #expect(await disk.entry(50, set) == .entry(Sample.entryBytes(50...50, term: 1)))
        await #expect(throws: StorageError.self) {
            disk.disk.fail("read", on: ".seg", errno: EIO, once: true)
            _ = try await disk.load()
        }
    }

    @Test func anotherFileOfTheSameNumberIsNotTakenForIt() async throws {
        let disk = try await SegmentDisk.make()
        let old = try #require(try await disk.write(1...5, term: 1, number: 1).first)
        try await disk.segments.remove([1])
        let new = try await SegmentWriter(disk.segments).write(
            [SegmentDisk.region(1...5, term: 2)], from: 1, salt: 0xabc)
        #expect(await disk.reader.entry(at: 2, in: old) == .unreadable(.removed(old)))
        #expect(await disk.reader.entry(at: 2, in: new[0]) == .entry(Sample.entryBytes(2...2, term: 2)))
    }
}
