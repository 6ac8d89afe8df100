import FlotillaWire

/// The version of the write-ahead log's format. A reader refuses an unknown major version; what a newer minor version
/// adds, it skips.
enum WALFormat {
    static let major: UInt16 = 1
    static let minor: UInt16 = 0
    /// Batches start at multiples of this, and the file header fills the first of them.
    static let blockBytes = AlignedMemory.alignment
    /// The longest file that is read or made.
    static let fileBytesMax: UInt64 = 4 << 30

    /// The name of a file: sixteen lower-case hexadecimal digits of its sequence number.
    static func fileName(_ sequence: UInt64) -> String {
        let digits = String(sequence, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".wal"
    }

    /// The sequence number that a file's name says; `nil` for a name that is not a WAL file's.
    static func sequence(ofFile name: String) -> UInt64? {
        guard name.hasSuffix(".wal"), name.utf8.count == 20, let sequence = UInt64(name.dropLast(4), radix: 16),
            sequence < UInt64.max, fileName(sequence) == name
        else { return nil }
        return sequence
    }
}

/// The head of a write-ahead log file: 64 bytes at offset 0 and once more at offset 2048, zeros after each.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | `FLOTWAL` and a zero |
/// | 8 | 2 | major version |
/// | 10 | 2 | minor version |
/// | 12 | 4 | block size, 4096 |
/// | 16 | 8 | sequence number |
/// | 24 | 8 | salt, random |
/// | 32 | 16 | NodeID |
/// | 48 | 8 | length of the file |
/// | 56 | 4 | reserved, 0 |
/// | 60 | 4 | CRC32C of bytes 0 to 59 |
struct WALFileHeader: Equatable, Sendable {
    static let byteCount = 64
    static let copyOffset = 2_048
    private static let magic: UInt64 = 0x004c_4157_544f_4c46

    var sequence: UInt64
    var salt: UInt64
    var nodeID: NodeID
    var length: UInt64
    var major: UInt16 = WALFormat.major

    /// What every checksum of the file starts from.
    var seed: UInt32 { Self.seed(salt: salt, sequence: sequence) }

    /// The CRC32C of salt and sequence number, both as eight little-endian bytes.
    static func seed(salt: UInt64, sequence: UInt64) -> UInt32 {
        withUnsafeBytes(of: (salt.littleEndian, sequence.littleEndian)) { Checksum.crc32c($0) }
    }

    /// Writes the header and its copy into memory that holds at least a block of zeros.
    func store(to base: UnsafeMutableRawPointer) {
        for start in [0, Self.copyOffset] {
            let base = base + start
            base.storeBytes(of: Self.magic.littleEndian, as: UInt64.self)
            base.storeBytes(of: major.littleEndian, toByteOffset: 8, as: UInt16.self)
            base.storeBytes(of: WALFormat.minor.littleEndian, toByteOffset: 10, as: UInt16.self)
            base.storeBytes(of: UInt32(WALFormat.blockBytes).littleEndian, toByteOffset: 12, as: UInt32.self)
            base.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt64.self)
            base.storeBytes(of: salt.littleEndian, toByteOffset: 24, as: UInt64.self)
            base.storeBytes(of: nodeID.high.littleEndian, toByteOffset: 32, as: UInt64.self)
            base.storeBytes(of: nodeID.low.littleEndian, toByteOffset: 40, as: UInt64.self)
            base.storeBytes(of: length.littleEndian, toByteOffset: 48, as: UInt64.self)
            base.storeBytes(of: Checksum.crc32c(base, count: 60).littleEndian, toByteOffset: 60, as: UInt32.self)
        }
    }

    /// Reads the header from one of its two places; `nil` when its magic or checksum is wrong.
    init?(from bytes: UnsafeRawBufferPointer, at start: Int) {
        guard bytes.count >= start + Self.byteCount, bytes.little(UInt64.self, at: start) == Self.magic,
            Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[start..<start + 60]))
                == bytes.little(UInt32.self, at: start + 60)
        else { return nil }
        major = bytes.little(UInt16.self, at: start + 8)
        sequence = bytes.little(UInt64.self, at: start + 16)
        salt = bytes.little(UInt64.self, at: start + 24)
        nodeID = NodeID(
            high: bytes.little(UInt64.self, at: start + 32), low: bytes.little(UInt64.self, at: start + 40))
        length = bytes.little(UInt64.self, at: start + 48)
    }

    init(sequence: UInt64, salt: UInt64, nodeID: NodeID, length: UInt64) {
        self.sequence = sequence
        self.salt = salt
        self.nodeID = nodeID
        self.length = length
    }
}

extension UnsafeRawBufferPointer {
    /// A little-endian number at an offset that the caller has checked.
    @inline(__always)
    func little<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at offset: Int) -> Number {
        precondition(offset >= 0 && count - offset >= MemoryLayout<Number>.size, "a field past the end")
        return Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    /// Whether all bytes are zero.
    var isZero: Bool {
        var offset = 0
        while count - offset >= 8 {
            if loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
            offset += 8
        }
        while offset < count {
            if self[offset] != 0 { return false }
            offset += 1
        }
        return true
    }
}
