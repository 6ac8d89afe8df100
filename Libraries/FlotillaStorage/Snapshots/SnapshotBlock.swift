import FlotillaWire
import NIOCore

/// What a block of a snapshot file holds. A file has the blocks in the order of these numbers.
enum SnapshotBlockKind: UInt8, Sendable, CaseIterable {
    /// Live indexes, as `LiveIndexes.encodedPieces()` makes them.
    case live = 1
    /// Client sessions, as the machine's host encodes them.
    case session = 2
    /// A piece of the machine's state.
    case state = 3
    /// The end of the file.
    case end = 255
}

/// The head of a block: 16 bytes, directly before the payload.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | kind |
/// | 1 | 3 | reserved, 0 |
/// | 4 | 4 | length of the payload, `SnapshotFormat.pieceBytesMax` at most |
/// | 8 | 4 | CRC32C of the payload |
/// | 12 | 4 | checksum of bytes 0 to 11 |
///
/// The checksum continues the file's seed over the offset of the block in the file (eight bytes) and bytes 0 to 11. It
/// covers the payload's, so that it binds the whole block to its place.
struct SnapshotBlock: Equatable {
    static let byteCount = 16

    /// The number of a `SnapshotBlockKind`, known here or not.
    var kind: UInt8
    var length: UInt32
    var payloadChecksum: UInt32

    init(_ kind: SnapshotBlockKind, payload: ByteBuffer) {
        self.kind = kind.rawValue
        length = UInt32(payload.readableBytes)
        payloadChecksum = payload.withUnsafeReadableBytes { Checksum.crc32c($0) }
    }

    /// The header's bytes and its checksum.
    func encoded(seed: UInt32, offset: UInt64) -> (bytes: ByteBuffer, checksum: UInt32) {
        var buffer = ByteBuffer()
        buffer.writeLittle(UInt32(kind))
        buffer.writeLittle(length)
        buffer.writeLittle(payloadChecksum)
        let checksum = Self.checksum(of: buffer, seed: seed, offset: offset)
        buffer.writeLittle(checksum)
        return (buffer, checksum)
    }

    /// Reads the header that stands at `offset` of the file; `nil` when its checksum is wrong.
    static func load(
        from bytes: ByteBuffer, seed: UInt32, offset: UInt64
    ) -> (block: SnapshotBlock, checksum: UInt32)? {
        bytes.withUnsafeReadableBytes { bytes in
            guard bytes.count >= byteCount, let base = bytes.baseAddress else { return nil }
            let checksum = boundChecksum(base, count: 12, seed: seed, offset: offset)
            guard checksum == bytes.little(UInt32.self, at: 12) else { return nil }
            return (SnapshotBlock(checked: bytes), checksum)
        }
    }

    private init(checked bytes: UnsafeRawBufferPointer) {
        kind = bytes[0]
        length = bytes.little(UInt32.self, at: 4)
        payloadChecksum = bytes.little(UInt32.self, at: 8)
    }

    /// Whether a payload is the one that the block was made of.
    func matches(_ payload: ByteBuffer) -> Bool {
        payload.readableBytes == Int(length)
            && payload.withUnsafeReadableBytes { Checksum.crc32c($0) } == payloadChecksum
    }

    private static func checksum(of head: ByteBuffer, seed: UInt32, offset: UInt64) -> UInt32 {
        head.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return seed }
            return boundChecksum(base, count: bytes.count, seed: seed, offset: offset)
        }
    }
}
