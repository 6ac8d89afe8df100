import FlotillaStorage
import FlotillaWire
import NIOCore

/// Makes snapshot files as their format says, without the library's writer, so that any field can lie under checksums
/// that are right.
struct SnapshotForge {
    var metadata: ByteBuffer
    var metadataLength: UInt32?
    var blocks: [(kind: UInt8, payload: ByteBuffer)]
    /// The length that the block at this place claims.
    var claimedLength: (place: Int, length: UInt32)?
    var salt: UInt64 = 0x5a17
    var counts: [UInt64]
    var digest: UInt32?

    /// A snapshot of these blocks.
    ///
    /// - Parameter counts: pieces of live indexes, of sessions and of state, live indexes, and, unless it is right,
    ///   the length of the file.
    init(
        _ metadata: SnapshotMetadata = Sample.metadata(100, term: 7), _ blocks: [(UInt8, ByteBuffer)] = [],
        counts: [UInt64]
    ) {
        self.metadata = ByteBuffer()
        metadata.encode(into: &self.metadata)
        self.blocks = blocks
        self.counts = counts
    }

    /// The bytes of the file.
    func bytes() -> [UInt8] {
        var file = ByteBuffer()
        file.writeString("FLOTSNAP")
        file.writeLittle(UInt16(1))
        file.writeLittle(UInt16(0))
        file.writeLittle(metadataLength ?? UInt32(metadata.readableBytes))
        file.writeLittle(salt)
        file.writeLittle(Self.checksum(metadata))
        let seed = Self.checksum(file)
        file.writeLittle(seed)
        file.writeImmutableBuffer(metadata)
        var rolling: UInt32 = 0
        for (place, block) in blocks.enumerated() {
            let length = claimedLength.flatMap { $0.place == place ? $0.length : nil }
            let checksum = Self.append(block.kind, block.payload, length, to: &file, seed: seed)
            rolling = withUnsafeBytes(of: checksum.littleEndian) { Checksum.crc32c($0, continuing: rolling) }
        }
        var end = ByteBuffer()
        for count in counts.prefix(4) { end.writeLittle(count) }
        end.writeLittle(counts.count > 4 ? counts[4] : UInt64(file.readableBytes + 64))
        end.writeLittle(digest ?? rolling)
        end.writeLittle(UInt32(0))
        _ = Self.append(255, end, nil, to: &file, seed: seed)
        return Array(file.readableBytesView)
    }

    private static func append(
        _ kind: UInt8, _ payload: ByteBuffer, _ length: UInt32?, to file: inout ByteBuffer, seed: UInt32
    ) -> UInt32 {
        var head = ByteBuffer()
        head.writeLittle(UInt32(kind))
        head.writeLittle(length ?? UInt32(payload.readableBytes))
        head.writeLittle(checksum(payload))
        var bound = ByteBuffer()
        bound.writeLittle(UInt64(file.readableBytes))
        bound.writeImmutableBuffer(head)
        let checksum = checksum(bound, continuing: seed)
        file.writeImmutableBuffer(head)
        file.writeLittle(checksum)
        file.writeImmutableBuffer(payload)
        return checksum
    }

    private static func checksum(_ bytes: ByteBuffer, continuing seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeReadableBytes { Checksum.crc32c($0, continuing: seed) }
    }
}
