import FlotillaWire

/// What a record in a file is. The numbers are for ever; an unknown one in a known major version is damage.
enum WALRecordKind: UInt8, CaseIterable {
    case entries = 1
    case hardState = 2
    case truncated = 3
    case serverCreated = 4
    case serverDeleted = 5
    case lastApplied = 6
    case snapshotFloor = 7
    case peer = 8
    case checkpointBegin = 9
    case checkpointEnd = 10
    case filesReleased = 11
    case serverLost = 12
    case logEnd = 13
}

/// The head of a record: 32 bytes at a multiple of 8 inside its batch.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | kind |
/// | 1 | 3 | reserved, 0 |
/// | 4 | 4 | length of the payload that follows |
/// | 8 | 16 | UID of the server; zeros where there is none |
/// | 24 | 4 | checksum of the payload |
/// | 28 | 4 | checksum of bytes 0 to 27, for entries also of bytes 32 to 55; bound to file and offset |
///
/// The payload's checksum is its CRC32C. For entries it is the CRC32C of bytes 32 to 39 of every entry header, which
/// are checksums of the rest; what says where the run belongs, its fixed part, is under the envelope's own checksum.
struct WALRecordEnvelope: Equatable, Sendable {
    static let byteCount = 32
    static let alignment = 8

    var kind: UInt8
    var payloadLength: UInt32
    var uid: ServerUID
    var payloadChecksum: UInt32

    /// How many bytes a record with so much payload takes, up to where the next may begin.
    static func span(payload: Int) -> Int { (byteCount + payload + alignment - 1) & ~(alignment - 1) }

    /// Writes the envelope; gives its checksum. The fixed part of a run of entries must stand behind it already.
    func store(to base: UnsafeMutableRawPointer, seed: UInt32, offset: UInt64) -> UInt32 {
        base.storeBytes(of: UInt32(kind).littleEndian, as: UInt32.self)
        base.storeBytes(of: payloadLength.littleEndian, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: uid.high.littleEndian, toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: uid.low.littleEndian, toByteOffset: 16, as: UInt64.self)
        base.storeBytes(of: payloadChecksum.littleEndian, toByteOffset: 24, as: UInt32.self)
        let checksum = Self.checksum(UnsafeRawPointer(base), kind: kind, seed: seed, offset: offset)
        base.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
        return checksum
    }

    private static func checksum(_ base: UnsafeRawPointer, kind: UInt8, seed: UInt32, offset: UInt64) -> UInt32 {
        let checksum = boundChecksum(base, count: 28, seed: seed, offset: offset)
        guard kind == WALRecordKind.entries.rawValue else { return checksum }
        return Checksum.crc32c(base + byteCount, count: WALEntriesHead.byteCount, continuing: checksum)
    }

    /// Reads the envelope at `offset` of the file; `nil` when its checksum is wrong or the file ends before.
    static func load(
        from file: UnsafeRawBufferPointer, at offset: Int, seed: UInt32
    ) -> (envelope: WALRecordEnvelope, checksum: UInt32)? {
        guard file.count - offset >= byteCount, let base = file.baseAddress else { return nil }
        let kind = file[offset]
        let needed = byteCount + (kind == WALRecordKind.entries.rawValue ? WALEntriesHead.byteCount : 0)
        guard file.count - offset >= needed else { return nil }
        let checksum = checksum(base + offset, kind: kind, seed: seed, offset: UInt64(offset))
        guard file.little(UInt32.self, at: offset + 28) == checksum else { return nil }
        let envelope = WALRecordEnvelope(
            kind: kind, payloadLength: file.little(UInt32.self, at: offset + 4),
            uid: ServerUID(
                high: file.little(UInt64.self, at: offset + 8), low: file.little(UInt64.self, at: offset + 16)),
            payloadChecksum: file.little(UInt32.self, at: offset + 24))
        return (envelope, checksum)
    }
}

/// The fixed part at the start of an entries record's payload: epoch (4 bytes), count (4), first index (8), term of
/// the last entry (8). The encoded entries follow.
struct WALEntriesHead: Equatable, Sendable {
    static let byteCount = 24

    var epoch: LogEpoch
    var count: UInt32
    var first: LogIndex
    var lastTerm: Term

    func store(to base: UnsafeMutableRawPointer) {
        base.storeBytes(of: epoch.rawValue.littleEndian, as: UInt32.self)
        base.storeBytes(of: count.littleEndian, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: first.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: lastTerm.rawValue.littleEndian, toByteOffset: 16, as: UInt64.self)
    }

    init(_ record: EntriesRecord) {
        precondition(record.count > 0 && record.count <= Int(UInt32.max), "a run of an impossible length")
        epoch = record.epoch
        count = UInt32(record.count)
        first = record.first
        lastTerm = record.lastTerm
    }

    init(from bytes: UnsafeRawBufferPointer, at offset: Int) {
        epoch = LogEpoch(bytes.little(UInt32.self, at: offset))
        count = bytes.little(UInt32.self, at: offset + 4)
        first = LogIndex(bytes.little(UInt64.self, at: offset + 8))
        lastTerm = Term(bytes.little(UInt64.self, at: offset + 16))
    }
}
