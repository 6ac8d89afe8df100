import FlotillaWire
import NIOCore

/// The head of a snapshot file: 32 bytes at offset 0. The metadata follows at once, the blocks directly behind it.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | `FLOTSNAP` |
/// | 8 | 2 | major version |
/// | 10 | 2 | minor version |
/// | 12 | 4 | length of the metadata |
/// | 16 | 8 | salt, random |
/// | 24 | 4 | CRC32C of the metadata |
/// | 28 | 4 | CRC32C of bytes 0 to 27 |
struct SnapshotHeader: Equatable {
    static let byteCount = 32
    private static let magic: UInt64 = 0x5041_4e53_544f_4c46

    var metadataLength: UInt32
    var salt: UInt64
    var metadataChecksum: UInt32
    var major: UInt16 = SnapshotFormat.major

    init(metadata: ByteBuffer, salt: UInt64) {
        metadataLength = UInt32(metadata.readableBytes)
        metadataChecksum = metadata.withUnsafeReadableBytes { Checksum.crc32c($0) }
        self.salt = salt
    }

    /// The header's bytes, and what the checksum of every block starts from: the header's own checksum, which covers
    /// the salt and, by its checksum, the metadata. So no block of another snapshot is ever right in this one.
    func encoded() -> (bytes: ByteBuffer, seed: UInt32) {
        var buffer = ByteBuffer()
        buffer.writeLittle(Self.magic)
        buffer.writeLittle(major)
        buffer.writeLittle(SnapshotFormat.minor)
        buffer.writeLittle(metadataLength)
        buffer.writeLittle(salt)
        buffer.writeLittle(metadataChecksum)
        let seed = buffer.withUnsafeReadableBytes { Checksum.crc32c($0) }
        buffer.writeLittle(seed)
        return (buffer, seed)
    }

    /// Reads the header at the start of `bytes`; `nil` when its magic or checksum is wrong.
    static func load(from bytes: UnsafeRawBufferPointer) -> (header: SnapshotHeader, seed: UInt32)? {
        guard bytes.count >= byteCount, bytes.little(UInt64.self, at: 0) == magic else { return nil }
        let seed = Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<28]))
        guard seed == bytes.little(UInt32.self, at: 28) else { return nil }
        let header = SnapshotHeader(
            metadataLength: bytes.little(UInt32.self, at: 12), salt: bytes.little(UInt64.self, at: 16),
            metadataChecksum: bytes.little(UInt32.self, at: 24), major: bytes.little(UInt16.self, at: 8))
        return (header, seed)
    }

    private init(metadataLength: UInt32, salt: UInt64, metadataChecksum: UInt32, major: UInt16) {
        self.metadataLength = metadataLength
        self.salt = salt
        self.metadataChecksum = metadataChecksum
        self.major = major
    }
}
