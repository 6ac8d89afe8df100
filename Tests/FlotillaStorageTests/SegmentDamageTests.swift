import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// Whatever becomes of a segment file: an entry is right or is said not to be, and any change is noticed.
@Suite struct SegmentDamageTests {
    private static let last: UInt64 = 6

    private func small() async throws -> SegmentDisk {
        let disk = try await SegmentDisk.make()
        let table = MemoryTable()
        table.append(Sample.entryBytes(1...3, term: 1), first: 1, count: 3)
        var body = ByteBuffer()
        Sample.configuration(5).encode(into: &body)
        table.append(Sample.entry(4, term: 1, body: body, kind: .configuration), first: 4, count: 1)
        table.append(Sample.entryBytes(5...Self.last, term: 2, body: 5), first: 5, count: 2)
        _ = try await SegmentWriter(disk.segments).write(
            table.regions(from: 1, through: LogIndex(Self.last)), from: 1, salt: 0x77)
        return disk
    }

    /// Reads everything of a disk on which something was changed.
    private func check(_ disk: SegmentDisk, against whole: SegmentDisk, _ comment: Comment) async throws {
        let right = try await whole.load().set
        let loaded = try await disk.load()
        var isNoticed = !loaded.damages.isEmpty
        #expect(loaded.damages.allSatisfy { $0.server == SegmentDisk.uid && $0.file == disk.segments.path(1) }, comment)
        let isLost = loaded.damages.contains { !$0.isHarmless }
        if loaded.set.lookUp(1) == nil {
            #expect(isLost && loaded.set.lastIndex(behind: .zero) == .zero, comment)
        } else {
            #expect(!isLost && loaded.set == right, comment)
        }
        for index in 1...Self.last as ClosedRange<UInt64> {
            guard case .entry(let expected) = await whole.entry(LogIndex(index), right) else {
                Issue.record("the whole segment can't be read")
                return
            }
            switch await disk.entry(LogIndex(index), loaded.set) {
            case .entry(let entry): #expect(entry == expected, comment)
            case .missing: #expect(isLost, comment)
            case .unreadable(.damaged(let damage, let identity)):
                isNoticed = true
                #expect(damage.entries == LogIndex(index)...LogIndex(index), comment)
                let checksum: UInt32? = expected.getInteger(at: expected.readerIndex + 32, endianness: .little)
                #expect(identity?.index == LogIndex(index) && identity?.bodyChecksum == checksum, comment)
                #expect(identity?.term == (index < 5 ? 1 : 2), comment)
            case .unreadable(let error): Issue.record("\(comment): \(error)")
            }
        }
        #expect(isNoticed, comment)
    }

    @Test func aFlippedBitInAnyByte() async throws {
        let whole = try await small()
        let bytes = whole.disk.contents(whole.segments.path(1))
        for place in bytes.indices where bytes[place] != 0 || place < 256 || place % 64 == 5 || place > 4_096 {
            let disk = whole.changed(1) { $0[place] ^= 1 << UInt8(place % 8) }
            try await check(disk, against: whole, "byte \(place)")
        }
    }

    @Test func aFileThatIsCutAnywhereOrTooLong() async throws {
        let whole = try await small()
        let count = whole.disk.contents(whole.segments.path(1)).count
        for length in Array(0..<200) + Array(4_000..<count) {
            let disk = whole.changed(1) { $0.removeLast($0.count - length) }
            try await check(disk, against: whole, "length \(length)")
        }
        let longer = whole.changed(1) { $0 += [1, 2, 3] }
        #expect(try await longer.load().damages.map(\.kind) == [.padding])
        try await check(longer, against: whole, "longer")
    }

    @Test func zeroedSectors() async throws {
        let whole = try await small()
        let count = whole.disk.contents(whole.segments.path(1)).count
        for start in stride(from: 0, to: count, by: 32) where start < 512 || start >= 4_064 {
            let disk = whole.changed(1) { bytes in
                for place in start..<min(count, start + 512) { bytes[place] = 0 }
            }
            if disk.disk.contents(whole.segments.path(1)) == whole.disk.contents(whole.segments.path(1)) { continue }
            try await check(disk, against: whole, "sector at \(start)")
        }
    }

    @Test func aDamagedTailIsMadeAgainFromTheEntries() async throws {
        let whole = try await small()
        let tail = 4_096 + Int(try #require(try await whole.load().set.segments.first).entryBytes)
        let disk = whole.changed(1) { $0[tail + 30] ^= 1 }
        let loaded = try await disk.load()
        #expect(loaded.damages.map(\.kind) == [.mended] && loaded.damages.allSatisfy(\.isHarmless))
        #expect(loaded.set == (try await whole.load().set))
        #expect(try await disk.log(loaded.set) == whole.log(loaded.set))
        // Not if an entry's header is damaged as well: then nobody knows what stood there.
        let both = whole.changed(1) { bytes in
            bytes[tail + 30] ^= 1
            bytes[4_096 + 60 + 9] ^= 1
        }
        let lost = try await both.load()
        #expect(lost.damages.map(\.kind) == [.segmentIndex] && lost.damages.first?.entries == 1...6)
        #expect(lost.set.lastIndex(behind: .zero) == .zero && lost.set.segments.first?.isReadable == false)
    }

    /// Two segments of two servers with entries of the same indexes, terms and lengths.
    @Test(arguments: [16, 512, 4_096])
    func blocksThatChangedPlacesBetweenTwoSegments(block: Int) async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...40, term: 1, number: 1, body: 80)
        try await disk.write(1...40, term: 2, number: 2, body: 80)
        let newer = disk.disk.contents(disk.segments.path(2))
        for start in stride(from: 0, to: newer.count, by: block) {
            let mixed = disk.changed(1) { bytes in
                let range = start..<min(start + block, bytes.count)
                bytes.replaceSubrange(range, with: newer[range])
            }
            let old = disk.disk.contents(disk.segments.path(1))
            if mixed.disk.contents(disk.segments.path(1)) == old { continue }
            mixed.disk.move(disk.segments.path(2), to: nil)
            let loaded = try await mixed.load()
            var isNoticed = !loaded.damages.isEmpty
            for index in 1...40 as ClosedRange<UInt64> {
                switch await mixed.entry(LogIndex(index), loaded.set) {
                case .entry(let entry): #expect(entry == Sample.entryBytes(index...index, term: 1, body: 80))
                default: isNoticed = true
                }
            }
            #expect(isNoticed, "block at \(start)")
        }
    }

    /// Entries that differ in nothing but the leader's time have the same index, term and body.
    @Test func anEntryOfAnotherClusterAtItsPlaceIsRefused() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...3, term: 1, number: 1)
        let changed = disk.changed(1) { bytes in
            let place = 4_096 + 60
            var head = Array(bytes[place..<place + 36])
            head[24] ^= 1
            let checksum = Checksum.crc32c(head)
            withUnsafeBytes(of: checksum.littleEndian) { head += $0 }
            bytes.replaceSubrange(place..<place + 40, with: head)
        }
        let set = try await changed.load().set
        guard case .unreadable(.damaged(let damage, let identity)) = await changed.entry(2, set) else {
            Issue.record("an entry that was not written there")
            return
        }
        #expect(damage.kind == .entryHeader && damage.entries == 2...2 && identity?.term == 1)
        // What stands before it is read all the same.
        let regions = try await changed.reader.entries(set.slices(from: 1, through: 3), maxBytes: 1 << 20)
        #expect(regions.map(\.count) == [1])
        await #expect(throws: SegmentReadError.self) {
            try await changed.reader.entries(set.slices(from: 2, through: 3), maxBytes: 1 << 20)
        }
    }

    @Test func aFileUnderAnotherNameOrOfAnotherServerIsDamage() async throws {
        let disk = try await small()
        disk.disk.move(disk.segments.path(1), to: disk.segments.path(9))
        let loaded = try await disk.load()
        #expect(loaded.damages.map(\.kind) == [.fileHeader] && loaded.set.segments.isEmpty)
        #expect(loaded.set.nextNumber == 10)
        let other = try await SegmentSet.load(
            directory: SegmentDisk.directory, uid: Sample.uid(2), files: disk.files)
        #expect(other.damages.map(\.kind) == [.fileHeader] && other.set.segments.isEmpty)
    }

    @Test func anUnknownMajorVersionIsRefused() async throws {
        let disk = try await small().changed(1) { bytes in
            var head = Array(bytes[0..<156])
            head[8] = 2
            let checksum = Checksum.crc32c(head)
            withUnsafeBytes(of: checksum.littleEndian) { head += $0 }
            bytes.replaceSubrange(0..<160, with: head)
        }
        let error = await #expect(throws: StorageError.self) { try await disk.load() }
        #expect(error?.code == .version)
    }

    /// A segment that can't be read still hides what was overwritten.
    @Test func aDamagedSegmentDoesNotShowWhatItHid() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...10, term: 1, number: 1)
        try await disk.write(6...12, term: 2, number: 2)
        let changed = disk.changed(2) { bytes in
            bytes[4_096 + 8] ^= 1
            bytes[bytes.count - 200] ^= 1
        }
        let set = try await changed.load().set
        #expect(set.lastIndex(behind: .zero) == 5 && set.lookUp(6) == nil && set.lookUp(9) == nil)
    }
}
