import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

/// Files whose checksums are right and whose contents make no sense.
@Suite struct SnapshotForgeryTests {
    private let state = ByteBuffer(string: "a piece of state")

    private func live(_ indexes: UInt64...) -> ByteBuffer { Sample.live(indexes).encodedPieces()[0] }

    /// Puts a forged file where a snapshot was, and reads it.
    private func read(_ forge: SnapshotForge) async throws -> SnapshotContents {
        let disk = try await SnapshotDisk()
        let file = try await disk.write()
        disk.disk.change(file.path) { $0 = forge.bytes() }
        do { _ = try await disk.load() } catch { #expect(error.code == .version) }
        return try await disk.read(file)
    }

    private func expectDamage(
        _ forge: SnapshotForge, _ kind: Damage.Kind, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let error = await #expect(throws: StorageError.self, sourceLocation: sourceLocation) { try await read(forge) }
        #expect(error?.damages.map(\.kind) == [kind], "\(error?.message ?? "")", sourceLocation: sourceLocation)
    }

    @Test func `the writer writes what the format says`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write(pieces: [state, ByteBuffer()], live: Sample.live([3, 90]))
        let forge = SnapshotForge(
            Sample.metadata(100, term: 7), [(1, live(3, 90)), (3, state), (3, ByteBuffer())], counts: [1, 0, 2, 2])
        #expect(disk.disk.contents(file.path) == forge.bytes())
    }

    @Test func `sessions are given between live indexes and state`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write()
        let forge = SnapshotForge(
            Sample.metadata(100, term: 7), [(1, live(100)), (2, state), (3, state)], counts: [1, 1, 1, 1])
        disk.disk.change(file.path) { $0 = forge.bytes() }
        try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
            #expect(try await reader.liveIndexes() == Sample.live([100]))
            #expect(try await reader.nextPiece() == .live(live(100)))
            #expect(try await reader.nextPiece() == .session(state))
            #expect(try await reader.nextPiece() == .state(state))
            #expect(try await reader.nextPiece() == nil)
        }
    }

    @Test func `a kind of block that is not known asks for another program`() async throws {
        let forge = SnapshotForge(Sample.metadata(100, term: 7), [(4, state)], counts: [0, 0, 0, 0])
        let error = await #expect(throws: StorageError.self) { try await read(forge) }
        #expect(error?.code == .version)
    }

    @Test func `blocks out of their order are damage`() async throws {
        let metadata = Sample.metadata(100, term: 7)
        await expectDamage(
            SnapshotForge(metadata, [(3, state), (1, live(3))], counts: [1, 0, 1, 1]), .snapshotBlock)
        await expectDamage(
            SnapshotForge(metadata, [(2, state), (1, live(3))], counts: [1, 1, 0, 1]), .snapshotBlock)
        await expectDamage(SnapshotForge(metadata, [(255, state), (3, state)], counts: [0, 0, 1, 0]), .snapshotBlock)
        await expectDamage(SnapshotForge(metadata, [(3, state), (255, state)], counts: [0, 0, 1, 0]), .snapshotBlock)
    }

    @Test func `lengths that do not fit are damage and reserve nothing`() async throws {
        for length in [17, 15, 16 + 64, 16 + 65, 1 << 20, (16 << 20) + (64 << 10) + 1, UInt32.max] as [UInt32] {
            var forge = SnapshotForge(Sample.metadata(100, term: 7), [(3, state)], counts: [0, 0, 1, 0])
            forge.claimedLength = (0, length)
            await expectDamage(forge, .snapshotBlock)
        }
        for length in [0, 10, 2_000, 65_537, UInt32.max] as [UInt32] {
            var forge = SnapshotForge(Sample.metadata(100, term: 7), counts: [0, 0, 0, 0])
            forge.metadataLength = length
            await expectDamage(forge, .fileHeader)
        }
    }

    @Test func `live indexes that make no sense are damage`() async throws {
        let metadata = Sample.metadata(100, term: 7)
        for second in [live(5, 9), live(1), live(101), live(6, .max), live(0), ByteBuffer(), state] {
            await expectDamage(
                SnapshotForge(metadata, [(1, live(2, 5)), (1, second)], counts: [2, 0, 0, 3]), .snapshotBlock)
        }
    }

    @Test func `an end block that counts wrong is damage`() async throws {
        let blocks = [(1, live(4, 5)), (2, state), (3, state), (3, state)] as [(UInt8, ByteBuffer)]
        let right = [1, 1, 2, 2] as [UInt64]
        for place in right.indices {
            for wrong in [0, right[place] + 1, 100, 101, .max] as [UInt64] where wrong != right[place] {
                var counts = right
                counts[place] = wrong
                let forge = SnapshotForge(Sample.metadata(100, term: 7), blocks, counts: counts)
                await expectDamage(forge, .snapshotEnd)
            }
        }
        let whole = SnapshotForge(Sample.metadata(100, term: 7), blocks, counts: right)
        for length in [0, UInt64(whole.bytes().count) - 1, .max] {
            var forge = whole
            forge.counts.append(length)
            await expectDamage(forge, .snapshotEnd)
        }
        var forge = whole
        forge.digest = 1
        await expectDamage(forge, .snapshotEnd)
    }

    @Test func `live indexes without the state are held against the end block`() async throws {
        let disk = try await SnapshotDisk()
        let file = try await disk.write()
        for (pieces, indexes) in [(1, 3), (2, 2), (0, 2)] as [(UInt64, UInt64)] {
            let forge = SnapshotForge(
                Sample.metadata(100, term: 7), [(1, live(4, 5)), (3, state)], counts: [pieces, 0, 1, indexes])
            disk.disk.change(file.path) { $0 = forge.bytes() }
            let error = await #expect(throws: StorageError.self) {
                try await SnapshotReader.with(file, files: disk.files) { (reader) async throws(StorageError) in
                    try await reader.liveIndexes()
                }
            }
            #expect(error?.damages.map(\.kind) == [.snapshotEnd], "\(pieces) pieces, \(indexes) indexes")
        }
    }

    @Test func `metadata that makes no sense is damage`() async throws {
        var ahead = Sample.metadata(100, term: 7)
        ahead.configurationIndex = 101
        var alone = Sample.metadata(100, term: 7)
        alone.configuration.members = []
        for metadata in [ahead, alone, Sample.metadata(0, term: 7), Sample.metadata(.max, term: 7)] {
            await expectDamage(SnapshotForge(metadata, counts: [0, 0, 0, 0]), .fileHeader)
        }
        var forge = SnapshotForge(counts: [0, 0, 0, 0])
        let metadata = forge.metadata
        for cut in 0..<metadata.readableBytes {
            forge.metadata = metadata.getSlice(at: 0, length: cut) ?? ByteBuffer()
            await expectDamage(forge, .fileHeader)
        }
        forge.metadata = metadata
        forge.metadata.writeString("of a later version")
        #expect(try await read(forge).metadata == Sample.metadata(100, term: 7))
    }
}
