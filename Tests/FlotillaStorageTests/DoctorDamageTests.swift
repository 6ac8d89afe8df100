import FlotillaStorage
import FlotillaWire
import Glibc
import NIOCore
import Testing

/// Whatever is damaged is named by the doctor, with its file and place.
@Suite struct DoctorDamageTests {
    private static let node = "\(DoctorDisk.path)/node"
    private static let owner = "\(DoctorDisk.walPath)/owner"
    private static let highest = "\(DoctorDisk.walPath)/highest"
    private static let wal3 = "\(DoctorDisk.walPath)/0000000000000003.wal"
    private static let wal4 = "\(DoctorDisk.walPath)/0000000000000004.wal"
    private static let segment1 = "\(DoctorDisk.servers(1))/0000000000000001.seg"
    private static let segment2 = "\(DoctorDisk.servers(1))/0000000000000002.seg"
    private static let sparse = "\(DoctorDisk.servers(2))/0000000000000001.seg"

    private func paths(_ disk: DoctorDisk) -> [String] { disk.disk.paths.filter { !$0.hasSuffix("/LOCK") } }

    private func snapshot(_ disk: DoctorDisk, _ server: UInt64 = 1, _ kind: String = "snapshot") -> String {
        disk.path(in: DoctorDisk.servers(server), kind)
    }

    // MARK: Each structure

    @Test func `a flipped byte of an identity or of the number of the last file`() async throws {
        let disk = try await DoctorDisk.make()
        for (path, offset) in [(Self.node, 0), (Self.owner, 0), (Self.highest, 0)] as [(String, Int)] {
            let count = disk.disk.contents(path).count
            for place in offset..<count where path != Self.highest || !(10..<12).contains(place) {
                let said = try await disk.changed(path) { $0[place] ^= 4 }.examine()
                #expect(said.problems.map(\.file) == [path], "\(path) \(place): \(said.findings)")
                #expect(said.changes.isEmpty)
            }
        }
    }

    @Test func `a flipped byte of each structure of the write-ahead log`() async throws {
        let disk = try await DoctorDisk.make()
        let bytes = disk.disk.contents(Self.wal3)
        // Both headers, a batch, a record, an entry's head and its body.
        let batch = try #require(batches(bytes).dropFirst(3).first)
        let record = batch + 32
        let entry = record + 32 + 24
        let index = bytes.number(at: entry + 8)
        let cases: [(place: [Int], offset: Int, entries: ClosedRange<UInt64>?)] = [
            ([20, 2_068], 0, nil), ([batch + 8], batch, nil), ([record + 5], record, nil),
            ([entry + 9], entry, index...index), ([entry + 100], entry, index...index),
        ]
        for (places, offset, entries) in cases {
            let said = try await disk.changed(Self.wal3) { bytes in for place in places { bytes[place] ^= 0x40 } }
                .examine()
            let found = said.problems.first { $0.file == Self.wal3 && $0.offset == UInt64(offset) }
            #expect(found != nil, "\(offset): \(said.findings)")
            guard let entries else { continue }
            #expect(found?.entries == LogIndex(entries.lowerBound)...LogIndex(entries.upperBound))
            #expect(found?.server?.uid == Sample.uid(1) && found?.server?.cluster?.description == "kv1")
            #expect(found?.server?.id?.description == "kv1@n1")
        }
    }

    /// Where batches begin.
    private func batches(_ bytes: [UInt8]) -> [Int] {
        stride(from: 4_096, to: bytes.count, by: 4_096).filter { Array(bytes[$0..<$0 + 4]) == Array("FBAT".utf8) }
    }

    @Test func `a flipped byte of each structure of a segment`() async throws {
        let disk = try await DoctorDisk.make()
        let count = disk.disk.contents(Self.segment1).count
        let entry = 4_096 + 1_040
        func said(_ places: Int...) async throws -> DoctorDisk.Result {
            try await disk.changed(Self.segment1) { bytes in for place in places { bytes[place] ^= 2 } }.examine()
        }
        for place in [40, count - 40, count - 300] {
            let mended = try await said(place)
            #expect(mended.problems.isEmpty && mended.notes.map(\.file) == [Self.segment1], "\(mended.findings)")
        }
        let header = try await said(40, count - 40)
        #expect(header.problems.contains { $0.file == Self.segment1 && $0.offset == 0 }, "\(header.findings)")
        let index = try await said(4_096 + 10, count - 300)
        #expect(index.problems.first?.offset == UInt64(4_096 + 10 * 1_040), "\(index.findings)")
        #expect(index.problems.first?.entries == 1...10)
        for (place, text) in [(entry + 3, "head"), (entry + 500, "body")] {
            let entryDamage = try await said(place)
            #expect(entryDamage.problems.count == 1 && entryDamage.problems[0].offset == UInt64(entry))
            #expect(entryDamage.problems[0].file == Self.segment1 && entryDamage.problems[0].entries == 2...2)
            #expect(entryDamage.problems[0].text.contains(text))
            #expect(entryDamage.problems[0].server?.cluster?.description == "kv1")
        }
        let several = try await said(entry + 500, entry + 1_040 + 500, entry + 3 * 1_040 + 500)
        #expect(several.problems.map(\.entries) == [2...3, 5...5], "neighbours are told as one")
        #expect(several.summary.entries + 3 == (try await disk.examine().summary.entries))
    }

    @Test func `a flipped byte of each structure of a snapshot`() async throws {
        let disk = try await DoctorDisk.make()
        for path in [snapshot(disk), snapshot(disk, 1, "checkpoint"), snapshot(disk, 2)] {
            let bytes = disk.disk.contents(path)
            let live = 32 + Int(bytes.number(at: 12, count: 4))
            let state = live + 16 + Int(bytes.number(at: live + 4, count: 4))
            let end = bytes.count - 64
            let cases = [(3, 0), (40, 32), (live + 2, live), (live + 20, live), (state + 200, state), (end + 30, end)]
            for (place, offset) in cases {
                let said = try await disk.changed(path) { $0[place] ^= 8 }.examine()
                #expect(said.problems.contains { $0.file == path && $0.offset == UInt64(offset) }, "\(said.findings)")
            }
        }
    }

    // MARK: Whole files

    @Test func `a file that is cut`() async throws {
        let disk = try await DoctorDisk.make()
        for path in paths(disk) {
            let bytes = disk.disk.contents(path)
            let isPrepared = path.hasSuffix(".wal") && batches(bytes).isEmpty
            for length in [0, 1, bytes.count / 2, bytes.count - 1] {
                let said = try await disk.changed(path) { $0.removeLast($0.count - length) }.examine()
                let found = isPrepared && length > 4_096 ? said.findings : said.problems
                let isMended = path.hasSuffix(".seg") && length == bytes.count - 1
                #expect(
                    (isMended ? said.notes : found).contains { $0.file == path }, "\(path) \(length): \(said.findings)")
                #expect(said.changes.isEmpty)
            }
        }
    }

    @Test func `a file that is gone`() async throws {
        let disk = try await DoctorDisk.make()
        let needless = ["/LOCK", snapshot(disk, 1, "checkpoint")]
        for path in disk.disk.paths {
            let said = try await disk.changed { $0.move(path, to: nil) }.examine()
            let isNeedless = needless.contains { path.hasSuffix($0) }
            #expect(said.problems.isEmpty == isNeedless, "\(path): \(said.findings)")
            let directory = path.split(separator: "/").dropLast().joined(separator: "/")
            let isNamed = said.problems.contains { $0.file == path || $0.file == "/" + directory }
            #expect(isNeedless || isNamed || path == Self.segment2, "gone: \(path): \(said.findings)")
        }
    }

    @Test func `what is missing without a segment is told with its entries`() async throws {
        let disk = try await DoctorDisk.make()
        let dense = try await disk.changed { $0.move(Self.segment1, to: nil) }.examine()
        #expect(dense.problems.map(\.entries) == [2...9], "its live entries")
        let behind = try await disk.changed { $0.move(Self.segment2, to: nil) }.examine()
        #expect(behind.problems.first?.entries == 13...disk.released[0])
        #expect(behind.problems.first?.server?.uid == Sample.uid(1))
        let live = try await disk.changed { $0.move(Self.sparse, to: nil) }.examine()
        #expect(live.problems.map(\.entries) == [3...8] && live.problems[0].text.contains("2 entries"))
    }

    @Test func `two files that changed places`() async throws {
        let disk = try await DoctorDisk.make()
        let pairs = [
            (Self.wal3, Self.wal4), (Self.segment1, Self.segment2), (Self.segment1, Self.sparse),
            (snapshot(disk), snapshot(disk, 1, "checkpoint")), (snapshot(disk), snapshot(disk, 2)),
            (Self.node, Self.owner), (Self.owner, Self.highest),
        ]
        for (first, second) in pairs {
            let said = try await disk.changed { copy in
                copy.move(first, to: "/x")
                copy.move(second, to: first)
                copy.move("/x", to: second)
            }.examine()
            let named = Set(said.problems.map(\.file))
            #expect(named.contains(first) && named.contains(second), "\(first) \(second): \(said.findings)")
        }
    }

    @Test func `a file that can not be read does not keep the doctor from the others`() async throws {
        let disk = try await DoctorDisk.make()
        for path in paths(disk) {
            let said = try await disk.examine { $0.fail("read", on: path, errno: EIO) }
            let found = said.problems.filter { $0.file == path }
            #expect(found.contains { $0.text.contains("Input/output error") }, "\(path): \(said.findings)")
            #expect(said.summary.files == UInt64(disk.disk.paths.count))
        }
    }

    // MARK: What belongs to others

    @Test func `a file of another node or of another format`() async throws {
        let disk = try await DoctorDisk.make()
        let other = try await disk.changed(Self.wal4) { bytes in
            for start in [0, 2_048] { bytes.seal(start..<start + 60) { $0[start + 40] ^= 1 } }
        }.examine()
        #expect(other.problems.first?.file == Self.wal4 && other.problems.first?.offset == 32, "\(other.findings)")
        #expect(other.problems.first?.text.contains("belongs to node") == true)
        let owner = try await disk.changed(Self.owner) { bytes in
            bytes.seal(0..<bytes.count - 4) { $0[20] ^= 1 }
        }.examine()
        #expect(owner.problems.map(\.file) == [Self.owner] && owner.problems[0].offset == 16, "\(owner.findings)")
        let formats: [(String, (inout [UInt8]) -> Void)] = [
            (Self.node, { bytes in bytes.seal(0..<bytes.count - 4) { $0[8] = 9 } }),
            (Self.highest, { $0[8] = 9 }),
            (Self.wal4, { bytes in for start in [0, 2_048] { bytes.seal(start..<start + 60) { $0[start + 8] = 9 } } }),
            (Self.segment1, { bytes in bytes.seal(0..<156) { $0[8] = 9 } }),
            (snapshot(disk), { bytes in bytes.seal(0..<28) { $0[8] = 9 } }),
        ]
        for (path, change) in formats {
            let said = try await disk.changed(path, change).examine()
            let found = said.problems.first { $0.file == path }
            #expect(found?.offset == 8 && found?.text.contains("format 9") == true, "\(path): \(said.findings)")
        }
    }

    @Test func `a directory of a server that the log does not know`() async throws {
        let disk = try await DoctorDisk.make()
        let copy = MemoryDisk(copying: disk.disk)
        try await copy.files.durablyMakeDirectory(DoctorDisk.servers(9))
        let said = try await DoctorDisk(disk: copy.disk, released: []).examine()
        #expect(said.problems.map(\.file) == [DoctorDisk.servers(9)], "\(said.findings)")
        let start = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path,
            files: MemoryDisk(copying: disk.disk).files
        ).start
        let log = try await TestLog(on: disk.disk, start: start)
        await log.write(.serverDeleted(Sample.uid(2), Sample.clusterID, index: 9, term: 1))
        let deleted = try await DoctorDisk(disk: log.disk, released: []).examine()
        #expect(deleted.problems.isEmpty && deleted.notes.map(\.file) == [DoctorDisk.servers(2)], "\(deleted.findings)")
    }

    @Test func `a directory of the log that is not there`() async throws {
        let disk = try await DoctorDisk.make()
        let said = try await disk.examine(walPath: nil)
        #expect(said.problems.map(\.file) == ["\(DoctorDisk.path)/wal"])
        #expect(said.problems[0].advice.contains("--wal-dir"))
    }

    /// The remains of a batch in the last file, and the end of the log that a server had applied.
    @Test func `an end of the log that is missing although it was applied`() async throws {
        let disk = try await DoctorDisk.make()
        let start = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path,
            files: MemoryDisk(copying: disk.disk).files
        ).start
        let log = try await TestLog(on: disk.disk, start: start)
        await log.write(.lastApplied(Sample.uid(2), 5_000))
        let said = try await DoctorDisk(disk: log.disk, released: []).examine()
        #expect(said.problems.count == 1 && said.problems[0].entries?.upperBound == 5_000, "\(said.findings)")
    }
}

extension [UInt8] {
    /// A little-endian number.
    fileprivate func number(at offset: Int, count: Int = 8) -> UInt64 {
        self[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Changes bytes and puts their checksum right, which stands behind them.
    fileprivate mutating func seal(_ range: Range<Int>, _ change: (inout [UInt8]) -> Void) {
        change(&self)
        let checksum = Checksum.crc32c(Array(self[range]))
        Swift.withUnsafeBytes(of: checksum.littleEndian) {
            replaceSubrange(range.upperBound..<range.upperBound + 4, with: $0)
        }
    }
}
