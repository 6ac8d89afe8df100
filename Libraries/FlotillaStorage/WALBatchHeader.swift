import FlotillaWire

/// The head of a batch: 32 bytes at a multiple of 4096.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | `FBAT` |
/// | 4 | 4 | how many records follow; 0 in a seal |
/// | 8 | 8 | batch number |
/// | 16 | 4 | length in bytes, this header included, padding not |
/// | 20 | 4 | checksum of the batch before (0 for the first of a node) |
/// | 24 | 4 | CRC32C of the envelope checksums of all records, in order |
/// | 28 | 4 | checksum of bytes 0 to 27 |
///
/// The checksum continues the file's seed over the offset of the batch in the file (eight bytes) and bytes 0 to 27.
struct WALBatchHeader: Equatable, Sendable {
    static let byteCount = 32
    private static let magic: UInt32 = 0x5441_4246

    var number: UInt64
    var recordCount: UInt32
    var length: UInt32
    var previousChecksum: UInt32
    var recordsChecksum: UInt32

    /// How many bytes of the file the batch takes.
    var paddedLength: Int { AlignedMemory.roundUp(Int(length)) }

    /// Writes the header; gives its checksum.
    func store(to base: UnsafeMutableRawPointer, seed: UInt32, offset: UInt64) -> UInt32 {
        base.storeBytes(of: Self.magic.littleEndian, as: UInt32.self)
        base.storeBytes(of: recordCount.littleEndian, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: number.littleEndian, toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: length.littleEndian, toByteOffset: 16, as: UInt32.self)
        base.storeBytes(of: previousChecksum.littleEndian, toByteOffset: 20, as: UInt32.self)
        base.storeBytes(of: recordsChecksum.littleEndian, toByteOffset: 24, as: UInt32.self)
        let checksum = boundChecksum(UnsafeRawPointer(base), count: 28, seed: seed, offset: offset)
        base.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
        return checksum
    }

    /// Reads the header of the batch that begins at `offset` of the file; `nil` when there is none that is whole.
    static func load(
        from file: UnsafeRawBufferPointer, at offset: Int, seed: UInt32
    ) -> (header: WALBatchHeader, checksum: UInt32)? {
        guard let checksum = checksum(in: file, at: offset, seed: seed) else { return nil }
        let header = WALBatchHeader(
            number: file.little(UInt64.self, at: offset + 8),
            recordCount: file.little(UInt32.self, at: offset + 4),
            length: file.little(UInt32.self, at: offset + 16),
            previousChecksum: file.little(UInt32.self, at: offset + 20),
            recordsChecksum: file.little(UInt32.self, at: offset + 24))
        guard header.length >= byteCount, header.paddedLength <= file.count - offset else { return nil }
        return (header, checksum)
    }

    /// The number of the batch that begins at `offset`, also where its records are not at hand.
    static func number(in file: UnsafeRawBufferPointer, at offset: Int, seed: UInt32) -> UInt64? {
        checksum(in: file, at: offset, seed: seed).map { _ in file.little(UInt64.self, at: offset + 8) }
    }

    private static func checksum(in file: UnsafeRawBufferPointer, at offset: Int, seed: UInt32) -> UInt32? {
        guard file.count - offset >= byteCount, file.little(UInt32.self, at: offset) == magic,
            file.little(UInt64.self, at: offset + 8) < UInt64.max, let base = file.baseAddress
        else { return nil }
        let checksum = boundChecksum(base + offset, count: 28, seed: seed, offset: UInt64(offset))
        return file.little(UInt32.self, at: offset + 28) == checksum ? checksum : nil
    }
}

/// The checksum of bytes that are right only at one place of one file generation: it continues the file's seed over
/// the offset and then the bytes.
func boundChecksum(_ base: UnsafeRawPointer, count: Int, seed: UInt32, offset: UInt64) -> UInt32 {
    let bound = withUnsafeBytes(of: offset.littleEndian) { Checksum.crc32c($0, continuing: seed) }
    return Checksum.crc32c(base, count: count, continuing: bound)
}
