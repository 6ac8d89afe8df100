import CFlotilla
import FlotillaWire
import Testing

/// Both ways of computing CRC32C against the values that RFC 3720 publishes in appendix B.4, and against each other.
struct ChecksumTests {
    private typealias Form = (UInt32, UnsafeRawPointer?, Int) -> UInt32

    private static let published: [(bytes: [UInt8], checksum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        (Array(0..<32), 0x46dd_794e),
        ((0..<32).reversed(), 0x113f_db5c),
        (
            [
                0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
                0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            ], 0xd996_3a56
        ),
        (Array("123456789".utf8), 0xe306_9283),
        ([], 0),
    ]

    private func random(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: 20)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    @Test("The table form gives the published values")
    func table() {
        for (bytes, checksum) in Self.published { #expect(flotilla_crc32c_table(0, bytes, bytes.count) == checksum) }
    }

    @Test("The hardware form gives the published values", .enabled(if: flotilla_crc32c_hardware_available()))
    func hardware() {
        for (bytes, checksum) in Self.published {
            #expect(flotilla_crc32c_hardware(0, bytes, bytes.count) == checksum)
        }
    }

    @Test("The form that the library chooses gives the published values")
    func chosen() {
        for (bytes, checksum) in Self.published { #expect(Checksum.crc32c(bytes) == checksum) }
        #expect(Checksum.crc32c(UnsafeRawBufferPointer(start: nil, count: 0), continuing: 7) == 7)
    }

    @Test(
        "Both forms agree on every length and every offset", .enabled(if: flotilla_crc32c_hardware_available()))
    func agreement() {
        let bytes = random(320)
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for offset in 0...8 {
                for count in 0...300 {
                    let table = flotilla_crc32c_table(0, base + offset, count)
                    let hardware = flotilla_crc32c_hardware(0, base + offset, count)
                    if table != hardware { Issue.record("they differ on \(count) bytes at offset \(offset)") }
                }
            }
        }
    }

    @Test("A checksum can be computed in two parts, wherever they meet")
    func continuing() {
        let bytes = random(64)
        let whole = Checksum.crc32c(bytes)
        for place in 0...64 {
            bytes.withUnsafeBytes { all in
                let first = UnsafeRawBufferPointer(rebasing: all[..<place])
                let second = UnsafeRawBufferPointer(rebasing: all[place...])
                #expect(Checksum.crc32c(second, continuing: Checksum.crc32c(first)) == whole)
                guard let base = all.baseAddress else { return }
                let table = flotilla_crc32c_table(0, base, place)
                #expect(flotilla_crc32c_table(table, base + place, 64 - place) == whole)
            }
        }
    }
}
