import CFlotilla

/// CRC32C (Castagnoli, RFC 3720 appendix B.4), the checksum of everything that Flotilla writes or sends.
public enum Checksum {
    /// Whether this CPU has an instruction for it; asked once.
    @usableFromInline
    static let hardware = flotilla_crc32c_hardware_available()

    /// The checksum of some bytes, continuing an earlier one (0 at the start).
    @inlinable
    public static func crc32c(_ bytes: UnsafeRawBufferPointer, continuing checksum: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress else { return checksum }
        return crc32c(base, count: bytes.count, continuing: checksum)
    }

    /// The checksum of `count` bytes from an address, continuing an earlier one (0 at the start).
    @inlinable
    public static func crc32c(_ base: UnsafeRawPointer, count: Int, continuing checksum: UInt32 = 0) -> UInt32 {
        hardware
            ? flotilla_crc32c_hardware(checksum, base, count)
            : flotilla_crc32c_table(checksum, base, count)
    }

    /// The checksum of an array of bytes.
    public static func crc32c(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { crc32c($0) } }
}
