import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// A right record at a wrong place is no record.
@Suite struct BindingTests {
    private let block = 4_096

    @Test func aBatchThatWasMovedInItsFileIsRefused() async throws {
        let small = try await SmallLog.make(sealed: true)
        let from = small.offsets[1]
        let to = small.offsets[3]
        let error = await #expect(throws: StorageError.self) {
            try await recover(
                small.changed { bytes in
                    bytes.replaceSubrange(to..<to + block, with: Array(bytes[from..<from + block]))
                })
        }
        #expect(error?.damages.first?.offset == UInt64(to))
        #expect(error?.damages.first?.kind == .batchHeader)
    }

    @Test func aRecordThatWasMovedWithinItsBatchIsRefused() async throws {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        await log.write(Sample.hardState(1, term: 1), Sample.hardState(1, term: 2))
        await log.seal()
        log.disk.change(log.path(1)) { bytes in
            // Two records of 56 bytes each behind the batch's header change places.
            let start = 2 * 4_096 + 32
            let first = Array(bytes[start..<start + 56])
            bytes.replaceSubrange(start..<start + 56, with: Array(bytes[start + 56..<start + 112]))
            bytes.replaceSubrange(start + 56..<start + 112, with: first)
        }
        let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
        #expect(error?.damages.first?.kind == .recordEnvelope)
    }

    @Test func batchesOfAnotherFileAreNotReadEvenUnderItsName() async throws {
        let log = try await filledLog()
        let first = log.disk.contents(log.path(1))
        log.disk.change(log.path(2)) { bytes in
            bytes.replaceSubrange(block..<2 * block, with: Array(first[block..<2 * block]))
        }
        let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
        #expect(error?.damages.contains { $0.file == log.path(2) } == true)
    }

    @Test func aFileOfAnotherGenerationIsRefused() async throws {
        // Two logs of the same node that differ in nothing but the salt of the file.
        let small = try await SmallLog.make(sealed: true)
        let other = small.disk.contents(small.path)
        let salted = small.changed { bytes in
            var header = Array(bytes[0..<60])
            header[24] ^= 0xff
            let checksum = Checksum.crc32c(header)
            withUnsafeBytes(of: checksum.littleEndian) { header += $0 }
            bytes.replaceSubrange(0..<64, with: header)
            bytes.replaceSubrange(2_048..<2_112, with: header)
        }
        #expect(salted.contents(small.path) != other)
        // No batch is right under this salt, so the file holds nothing that could be taken for a record.
        let found = try await recover(salted)
        #expect(found.values.servers.isEmpty && found.node.report.batches == 0)
    }

    @Test func aFileUnderAnotherFilesNameIsDamage() async throws {
        let log = try await filledLog()
        log.disk.move(log.path(3), to: nil)
        log.disk.move(log.path(2), to: log.path(3))
        let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
        #expect(error?.damages.map(\.kind).contains(.fileHeader) == true)
    }

    @Test func aMissingFileIsDamage() async throws {
        for missing in [1, 2] as [UInt64] {
            let log = try await filledLog()
            log.disk.move(log.path(missing), to: nil)
            let error = await #expect(throws: StorageError.self) { try await recover(log.disk) }
            #expect(error?.damages.contains { $0.kind == .fileMissing && $0.file == log.path(missing) } == true)
        }
    }

    /// A log of three files.
    private func filledLog() async throws -> TestLog {
        let log = try await TestLog()
        await log.write(.serverCreated(Sample.creation(1)))
        for index in 1...12 as ClosedRange<UInt64> {
            await log.write(Sample.entries(1, index...index, term: 1, body: 9_000))
        }
        #expect(log.disk.contents(log.path(3))[4_096] != 0)
        return log
    }
}
