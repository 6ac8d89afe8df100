import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@Suite struct SegmentWritingTests {
    @Test func whatIsWrittenIsReadAgain() async throws {
        let disk = try await SegmentDisk.make()
        let written = try await disk.write(1...50, term: 3, number: 1, body: 33)
        #expect(written.count == 1)
        let segment = try #require(written.first)
        #expect(segment.first == 1 && segment.last == 50 && segment.count == 50 && segment.isDense)
        #expect(segment.entryBytes == 50 * 73 && segment.kind == .flushed && segment.lastTime == 1_050)
        #expect(Int(segment.fileBytes) == disk.disk.contents(disk.segments.path(1)).count)
        let loaded = try await disk.load()
        #expect(loaded.damages.isEmpty && loaded.set.segments == written && loaded.set.nextNumber == 2)
        let expected = Sample.entryBytes(1...50, term: 3, body: 33).array
        for limit in [1, 80, 500, 1 << 20] {
            #expect(try await disk.log(loaded.set, maxBytes: limit) == expected)
        }
        #expect(
            await disk.entry(7, loaded.set)
                == .entry(Sample.entryBytes(7...7, term: 3, body: 33)))
        #expect(await disk.reader.entry(at: 51, in: segment) == .missing)
    }

    @Test func manyEntriesAreSplitByNumberAndByBytes() async throws {
        let disk = try await SegmentDisk.make()
        let byNumber = try await disk.write(1...25, term: 1, number: 1, limits: SegmentLimits(maxEntries: 10))
        #expect(byNumber.map(\.count) == [10, 10, 5])
        #expect(byNumber.map(\.number) == [1, 2, 3])
        // Entries of 60 bytes; one that is longer than the limit has a segment of its own.
        let regions = [
            SegmentDisk.region(26...30, term: 1), SegmentDisk.region(31...31, term: 2, body: 500),
            SegmentDisk.region(32...35, term: 2),
        ]
        let byBytes = try await SegmentWriter(disk.segments, limits: SegmentLimits(maxBytes: 130)).write(
            regions, from: 4, salt: 9)
        #expect(byBytes.map(\.count) == [2, 2, 1, 1, 2, 2])
        let loaded = try await disk.load()
        #expect(loaded.set.segments == byNumber + byBytes)
        #expect(loaded.set.lastIndex(behind: .zero) == 35)
        let expected = Sample.entryBytes(1...30, term: 1).array + Sample.entryBytes(31...31, term: 2, body: 500).array
        #expect(try await disk.log(loaded.set) == expected + Sample.entryBytes(32...35, term: 2).array)
        #expect(
            loaded.set.terms(behind: .zero) == [
                Segment.TermRun(first: 1, term: 1), Segment.TermRun(first: 31, term: 2),
            ])
        #expect(loaded.set.terms(behind: 32) == [Segment.TermRun(first: 33, term: 2)])
    }

    @Test func entriesLongerThanTheMemoryTheyAreCopiedThrough() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...4, term: 1, number: 1, body: 900_000)
        let loaded = try await disk.load()
        let expected = Sample.entryBytes(1...4, term: 1, body: 900_000).array
        #expect(try await disk.log(loaded.set) == expected)
    }

    @Test func configurationsAreKnownWithoutReadingEntries() async throws {
        let disk = try await SegmentDisk.make()
        var bytes = Sample.entryBytes(1...2, term: 1)
        var body = ByteBuffer()
        Sample.configuration(5).encode(into: &body)
        bytes.writeImmutableBuffer(Sample.entry(3, term: 2, body: body, kind: .configuration))
        let table = MemoryTable()
        table.append(bytes, first: 1, count: 3)
        _ = try await SegmentWriter(disk.segments).write(table.regions(from: 1, through: 3), from: 1, salt: 1)
        let found = try await disk.load().set.configurations(behind: .zero)
        #expect(found == [Segment.StoredConfiguration(index: 3, configuration: Sample.configuration(5))])
        #expect(try await disk.load().set.configurations(behind: 3).isEmpty)
    }

    @Test func sparseEntriesOfASnapshot() async throws {
        let disk = try await SegmentDisk.make()
        let writer = SegmentWriter(disk.segments, limits: SegmentLimits(maxEntries: 3))
        var sequence = writer.begin(installing: 100, term: 7, from: 1, salt: 4)
        for index in [3, 8, 9, 40, 77, 100] as [UInt64] {
            try await sequence.append(Sample.entryBytes(index...index, term: index / 10, body: Int(index)))
        }
        #expect(sequence.count == 6)
        let written = try await sequence.finish()
        #expect(written.map(\.count) == [3, 3] && written.allSatisfy { !$0.isDense })
        var loaded = try await disk.load()
        #expect(loaded.set.segments == written)
        #expect(loaded.installed.map(\.index) == [100, 100] && loaded.installed.map(\.term) == [7, 7])
        for index in 1...110 as ClosedRange<UInt64> {
            let isThere = [3, 8, 9, 40, 77, 100].contains(index)
            let entry = Sample.entryBytes(index...index, term: index / 10, body: Int(index))
            #expect(await disk.entry(LogIndex(index), loaded.set) == (isThere ? .entry(entry) : .missing))
        }
        #expect(loaded.set.lastIndex(behind: 100) == 100)
        #expect(loaded.set.dropInstalled(exceptFor: 100, term: 7).isEmpty)
        #expect(loaded.set.dropInstalled(exceptFor: 101, term: 8).isEmpty)
        let directory = SnapshotDirectory(path: "", server: Sample.uid(1), cluster: .none)
        let damaged = SnapshotFile(
            directory: directory, kind: .snapshot, index: 100, term: 7, bytes: 0, liveCount: 0)
        #expect(loaded.set.dropInstalled(exceptFor: .zero, term: .zero, damaged: [damaged]).isEmpty)
        var other = loaded.set
        #expect(other.dropInstalled(exceptFor: 100, term: 8) == [1, 2] && other.segments.isEmpty)
        #expect(loaded.set.dropInstalled(exceptFor: 99, term: 7) == [1, 2])
        #expect(loaded.set.nextNumber == 3)
    }

    @Test func entriesThatDoNotFollowAreRefusedAndLeaveNothing() async throws {
        let disk = try await SegmentDisk.make()
        let gap = [SegmentDisk.region(1...3, term: 1), SegmentDisk.region(5...6, term: 1)]
        let error = await #expect(throws: StorageError.self) {
            try await SegmentWriter(disk.segments).write(gap, from: 1, salt: 1)
        }
        #expect(error?.code == .corrupt && disk.names.isEmpty)
        var sequence = SegmentWriter(disk.segments).begin(installing: 9, term: 1, from: 1, salt: 1)
        try await sequence.append(Sample.entryBytes(5...5, term: 1))
        await #expect(throws: StorageError.self) { try await sequence.append(Sample.entryBytes(5...5, term: 1)) }
        #expect(disk.names.isEmpty)
        var cut = SegmentWriter(disk.segments).begin(installing: 9, term: 1, from: 1, salt: 1)
        let bytes = Sample.entryBytes(5...5, term: 1)
        await #expect(throws: StorageError.self) {
            try await cut.append(ByteBuffer(bytes: bytes.array.dropLast()))
        }
        #expect(disk.names.isEmpty)
        var empty = SegmentWriter(disk.segments).begin(installing: 9, term: 1, from: 1, salt: 1)
        #expect(try await empty.finish().isEmpty)
    }

    @Test func limitsThatMakeNoSenseAreRefused() {
        #expect(throws: Never.self) { try SegmentLimits().validate() }
        for limits in [
            SegmentLimits(maxEntries: 0), SegmentLimits(maxEntries: 1 << 25), SegmentLimits(maxBytes: 39),
            SegmentLimits(maxBytes: 2 << 30),
        ] {
            #expect(throws: StorageError.self) { try limits.validate() }
        }
    }

    @Test func aLongSegmentGoesToTheDiskBitByBit() async throws {
        let disk = try await SegmentDisk.make()
        try await disk.write(1...50, term: 1, number: 1, body: 20_000)
        let journal = disk.disk.journal
        let sync = try #require(journal.firstIndex { $0.hasPrefix("sync") && $0.hasSuffix(".tmp") })
        func sum(_ what: String) -> Int {
            journal[..<sync].filter { $0.hasPrefix("\(what) ") }.compactMap { $0.split(separator: " ").last }
                .compactMap { Int($0) }.reduce(0, +)
        }
        #expect(sum("write") > 1_000_000)
        // At most the last part and the head are left for the sync.
        #expect(sum("out") > sum("write") - 140_000)
    }

    @Test(arguments: ["write", "write out", "sync", "rename", "sync directory", "open", "close"])
    func aFailureLeavesNothingBehind(operation: String) async throws {
        let disk = try await SegmentDisk.make()
        let suffix = operation == "sync directory" ? SegmentDisk.directory : ".tmp"
        // Full, 28, is what a writer meets most.
        disk.disk.fail(operation, on: suffix, errno: 28, once: true)
        let limits = SegmentLimits(maxEntries: 4)
        let error = await #expect(throws: StorageError.self) {
            try await disk.write(1...10, term: 1, number: 1, body: 100_000, limits: limits)
        }
        #expect(error?.cause?.isOutOfSpace == true)
        #expect(disk.names.isEmpty)
        disk.disk.heal()
        try await disk.write(1...10, term: 1, number: 4, limits: limits)
        #expect(try await disk.load().set.lastIndex(behind: .zero) == 10)
    }

    /// Segments are read for ever; a change of a single byte of the format must be meant.
    @Test func aSmallSegmentIsWrittenAsItAlwaysWas() async throws {
        let disk = try await SegmentDisk.make()
        var sequence = SegmentWriter(disk.segments).begin(installing: 9, term: 2, from: 3, salt: 0x1234)
        for index in [4, 9] as [UInt64] { try await sequence.append(Sample.entryBytes(index...index, term: index / 4)) }
        _ = try await sequence.finish()
        let bytes = disk.disk.contents(disk.segments.path(3))
        let header = try #require(Self.golden.first)
        #expect(
            Self.hexadecimal(bytes[..<160]) == header
                && Self.hexadecimal(bytes[bytes.count - 160..<bytes.count]) == header)
        #expect(bytes[160..<4_096].allSatisfy { $0 == 0 })
        #expect(
            Array(bytes[4_096..<4_216]) == Sample.entryBytes(4...4, term: 1).array
                + Sample.entryBytes(9...9, term: 2).array)
        #expect(Self.hexadecimal(bytes[4_216..<bytes.count - 160]) == Self.golden.last)
    }

    /// The header and the tail.
    private static let golden: [String] = [
        "464c4f54534547000100000003000000cdab000000000000010000000000000003000000000000000300000000000000"
            + "341200000000000004000000000000000900000000000000020000007800000078100000000000006400000000000000"
            + "0900000000000000ffffffffffffffff09000000000000000200000000000000ea542d33000000000000000000000000"
            + "0000000000000000000000009eae3dee",
        "46534958020000000000000000000000f10300000000000004000000000000000000000025245392ad45fabe09000000"
            + "000000003c000000f37ad31dd8958f0a0400000000000000010000000000000009000000000000000200000000000000"
            + "c47e7b0e",
    ]

    private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
