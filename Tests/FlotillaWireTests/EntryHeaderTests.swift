import FlotillaWire
import NIOCore
import Testing

struct EntryHeaderTests {
    private static let body = Array("the body".utf8)
    private static let header = EntryHeader(
        kind: .command, bodyLength: 8, index: 0x0102_0304_0506_0708, term: 0x1112_1314_1516_1718,
        time: 0x2122_2324_2526_2728, bodyChecksum: Checksum.crc32c(body))

    private var encoded: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: EntryHeader.byteCount) { buffer, count in
            if let base = buffer.baseAddress { Self.header.store(to: base) }
            count = EntryHeader.byteCount
        } + Self.body
    }

    private func load(_ bytes: [UInt8]) throws -> EntryHeader {
        try bytes.withUnsafeBytes { bytes in try EntryHeader.load(from: bytes) }
    }

    private func verify(_ bytes: [UInt8]) throws -> EntryHeader {
        try bytes.withUnsafeBytes { bytes in try EntryHeader.verify(bytes) }
    }

    @Test("Every field stands where the format says")
    func layout() {
        let fields: [UInt8] =
            [1, 0, 0, 0, 8, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]
            + [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21]
        func little(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }
        let checked = fields + little(Checksum.crc32c(Self.body))
        #expect(encoded == checked + little(Checksum.crc32c(checked)) + Self.body)
        #expect(Self.header.entryLength == 48)
    }

    @Test("A whole entry is read back, also from an odd address and with more behind it")
    func roundTrip() throws {
        #expect(try verify(encoded) == Self.header)
        #expect(try verify(encoded + [1, 2, 3]) == Self.header)
        let shifted = [0] + encoded
        let read = try shifted.withUnsafeBytes { bytes in
            try EntryHeader.verify(UnsafeRawBufferPointer(rebasing: bytes[1...]))
        }
        #expect(read == Self.header)
    }

    @Test("An entry that is cut short anywhere is truncated")
    func truncation() {
        let bytes = encoded
        for length in 0..<bytes.count {
            #expect(throws: EntryHeader.Damage.truncated) { try verify(Array(bytes.prefix(length))) }
        }
        // The header alone is enough to know what the entry is.
        #expect((try? load(Array(bytes.prefix(EntryHeader.byteCount)))) == Self.header)
    }

    @Test("Damage to any single bit is found, and said to be of the header or of the body")
    func bits() {
        let bytes = encoded
        for bit in 0..<(bytes.count * 8) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << (bit % 8)
            let expected: EntryHeader.Damage = bit / 8 < EntryHeader.byteCount ? .headerChecksum : .bodyChecksum
            #expect(throws: expected) { try verify(damaged) }
        }
    }

    @Test("A kind that this version does not know is told from damage", arguments: [0, 11, 255] as [UInt8])
    func unknownKind(kind: UInt8) {
        var bytes = encoded
        bytes[0] = kind
        let checksum = Checksum.crc32c(Array(bytes.prefix(36)))
        for place in 0..<4 { bytes[36 + place] = UInt8(truncatingIfNeeded: checksum >> (place * 8)) }
        #expect(throws: EntryHeader.Damage.unknownKind(kind)) { try verify(bytes) }
    }

    @Test("Every kind keeps its number")
    func kinds() {
        #expect(EntryKind.allCases.map(\.rawValue) == Array(1...10))
        #expect(EntryKind.command.rawValue == 1 && EntryKind.noop.rawValue == 2)
        #expect(EntryKind.configuration.rawValue == 3 && EntryKind.endOfLife.rawValue == 10)
    }

    @Test("An entry without a body is whole")
    func emptyBody() throws {
        let bytes = Array(Sample.entry(.endOfLife, index: 1, ByteBuffer()).readableBytesView)
        #expect(bytes.count == EntryHeader.byteCount)
        #expect(try verify(bytes).bodyChecksum == 0)
    }
}
