import FlotillaWire
import NIOCore

/// What was counted of the blocks of a snapshot file, by its writer as by its reader.
struct SnapshotTally: Equatable, Sendable {
    var livePieces: UInt64 = 0
    var sessionPieces: UInt64 = 0
    var statePieces: UInt64 = 0
    /// How many live indexes the pieces hold together.
    var liveIndexes: UInt64 = 0
    /// The CRC32C of the checksums of all blocks in order.
    var digest: UInt32 = 0

    /// Counts a block; the end block is none of them.
    mutating func add(_ kind: SnapshotBlockKind, checksum: UInt32) {
        switch kind {
        case .live: livePieces += 1
        case .session: sessionPieces += 1
        case .state: statePieces += 1
        case .end: return
        }
        digest = withUnsafeBytes(of: checksum.littleEndian) { Checksum.crc32c($0, continuing: digest) }
    }
}

/// The end block: 64 bytes, the last of the file. Behind the block's head stand:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 16 | 8 | how many pieces with live indexes there are |
/// | 24 | 8 | how many pieces with sessions |
/// | 32 | 8 | how many pieces of state |
/// | 40 | 8 | how many live indexes all their pieces hold |
/// | 48 | 8 | length of the file, this block included |
/// | 56 | 4 | CRC32C of the checksums of all blocks before, in order |
/// | 60 | 4 | reserved, 0 |
struct SnapshotEnd: Equatable, Sendable {
    static let byteCount = SnapshotBlock.byteCount + payloadBytes
    private static let payloadBytes = 48

    var tally: SnapshotTally
    var length: UInt64

    /// The whole block, to stand at `offset`.
    func encoded(seed: UInt32, offset: UInt64) -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeLittle(tally.livePieces)
        payload.writeLittle(tally.sessionPieces)
        payload.writeLittle(tally.statePieces)
        payload.writeLittle(tally.liveIndexes)
        payload.writeLittle(length)
        payload.writeLittle(tally.digest)
        payload.writeLittle(UInt32(0))
        var block = SnapshotBlock(.end, payload: payload).encoded(seed: seed, offset: offset).bytes
        block.writeImmutableBuffer(payload)
        return block
    }

    /// Reads the block that stands at `offset`; `nil` when it is no end block or a checksum is wrong.
    static func load(from bytes: ByteBuffer, seed: UInt32, offset: UInt64) -> SnapshotEnd? {
        guard let block = SnapshotBlock.load(from: bytes, seed: seed, offset: offset)?.block,
            block.kind == SnapshotBlockKind.end.rawValue,
            let payload = bytes.getSlice(at: bytes.readerIndex + SnapshotBlock.byteCount, length: payloadBytes),
            block.matches(payload)
        else { return nil }
        var reader = WireReader(payload)
        return try? SnapshotEnd(from: &reader)
    }

    private init(from reader: inout WireReader) throws(WireError) {
        var tally = SnapshotTally()
        tally.livePieces = try reader.integer()
        tally.sessionPieces = try reader.integer()
        tally.statePieces = try reader.integer()
        tally.liveIndexes = try reader.integer()
        length = try reader.integer()
        tally.digest = try reader.integer()
        self.tally = tally
    }

    init(tally: SnapshotTally, length: UInt64) {
        self.tally = tally
        self.length = length
    }
}
