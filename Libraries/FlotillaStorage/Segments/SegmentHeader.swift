import FlotillaWire

/// The head of a segment file: 160 bytes at offset 0, and once more at the end of the file.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | `FLOTSEG` and a zero |
/// | 8 | 2 | major version |
/// | 10 | 2 | minor version |
/// | 12 | 4 | kind: 1 flushed, 2 compacted, 3 installed |
/// | 16 | 16 | ServerUID |
/// | 32 | 8 | number, as in the file's name |
/// | 40 | 8 | order: of two segments the one of the higher order is newer |
/// | 48 | 8 | salt, random |
/// | 56 | 8 | index of the first entry |
/// | 64 | 8 | index of the last entry |
/// | 72 | 4 | how many entries there are |
/// | 76 | 4 | how many bytes these take |
/// | 80 | 8 | where the tail begins |
/// | 88 | 8 | length of the tail |
/// | 96 | 8 | entries of older segments through this index are hidden; 0 for none |
/// | 104 | 8 | entries of older segments from this index on are hidden; all bits set for none |
/// | 112 | 8 | compacted: the lowest order that it replaces; installed: the snapshot's last index; else 0 |
/// | 120 | 8 | compacted: the highest order that it replaces; installed: the term of that entry; else 0 |
/// | 128 | 4 | CRC32C of the tail's records of all entries |
/// | 132 | 24 | reserved, 0 |
/// | 156 | 4 | CRC32C of bytes 0 to 155 |
struct SegmentHeader: Equatable, Sendable {
    static let byteCount = 160
    private static let magic: UInt64 = 0x0047_4553_544f_4c46

    var uid: ServerUID
    var number: UInt64
    var kind: Segment.Kind
    var salt: UInt64
    var first: LogIndex
    var last: LogIndex
    var count: UInt32
    var entryBytes: UInt32
    var tailLength: UInt64
    var hiding: Segment.Hiding
    /// Over what the tail says of the entries, so that a tail that is made again is known to be the same.
    var recordsChecksum: UInt32

    /// Where the tail begins.
    var tailOffset: UInt64 { UInt64(SegmentFormat.entriesOffset) + UInt64(entryBytes) }
    /// Where the copy of the header begins.
    var copyOffset: UInt64 { tailOffset + tailLength }
    /// The length of the file.
    var fileLength: UInt64 { copyOffset + UInt64(Self.byteCount) }

    /// What the tail's checksum starts from: right only in this one file.
    var seed: UInt32 {
        withUnsafeBytes(
            of: (salt.littleEndian, uid.high.littleEndian, uid.low.littleEndian, number.littleEndian)
        ) { Checksum.crc32c($0) }
    }

    /// Writes the header into 160 bytes of zeros.
    func store(to base: UnsafeMutableRawPointer) {
        func put<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number, at offset: Int) {
            base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
        }
        let details = kind.details
        put(Self.magic, at: 0)
        put(SegmentFormat.major, at: 8)
        put(SegmentFormat.minor, at: 10)
        put(details.code, at: 12)
        put(uid.high, at: 16)
        put(uid.low, at: 24)
        put(number, at: 32)
        put(kind.order(number: number), at: 40)
        put(salt, at: 48)
        put(first.rawValue, at: 56)
        put(last.rawValue, at: 64)
        put(count, at: 72)
        put(entryBytes, at: 76)
        put(tailOffset, at: 80)
        put(tailLength, at: 88)
        put(hiding.through.rawValue, at: 96)
        put(hiding.from.rawValue, at: 104)
        put(details.first, at: 112)
        put(details.second, at: 120)
        put(recordsChecksum, at: 128)
        put(Checksum.crc32c(base, count: 156), at: 156)
    }

    /// Reads the header at an offset; `nil` when it is damaged or says what can't be.
    ///
    /// - Throws: `version` when it is right but of a format that this program does not know.
    static func load(
        from bytes: UnsafeRawBufferPointer, at start: Int, path: String
    ) throws(StorageError) -> SegmentHeader? {
        guard start >= 0, bytes.count - start >= byteCount, let base = bytes.baseAddress,
            bytes.little(UInt64.self, at: start) == magic,
            Checksum.crc32c(base + start, count: 156) == bytes.little(UInt32.self, at: start + 156)
        else { return nil }
        let major = bytes.little(UInt16.self, at: start + 8)
        guard major == SegmentFormat.major else {
            throw StorageError(.version, "\(path) has format \(major), this program reads \(SegmentFormat.major) only")
        }
        let header = SegmentHeader(fields: UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount]))
        return header
    }

    private init?(fields: UnsafeRawBufferPointer) {
        let number = fields.little(UInt64.self, at: 32)
        guard
            let kind = Segment.Kind(
                code: fields.little(UInt32.self, at: 12), first: fields.little(UInt64.self, at: 112),
                second: fields.little(UInt64.self, at: 120))
        else { return nil }
        self.init(
            uid: ServerUID(high: fields.little(UInt64.self, at: 16), low: fields.little(UInt64.self, at: 24)),
            number: number, kind: kind, salt: fields.little(UInt64.self, at: 48),
            first: LogIndex(fields.little(UInt64.self, at: 56)), last: LogIndex(fields.little(UInt64.self, at: 64)),
            count: fields.little(UInt32.self, at: 72), entryBytes: fields.little(UInt32.self, at: 76),
            tailLength: fields.little(UInt64.self, at: 88),
            hiding: Segment.Hiding(
                through: LogIndex(fields.little(UInt64.self, at: 96)),
                from: LogIndex(fields.little(UInt64.self, at: 104))),
            recordsChecksum: fields.little(UInt32.self, at: 128))
        guard isPossible, fields.little(UInt64.self, at: 40) == kind.order(number: number),
            fields.little(UInt64.self, at: 80) == tailOffset
        else { return nil }
    }

    init(
        uid: ServerUID, number: UInt64, kind: Segment.Kind, salt: UInt64, first: LogIndex, last: LogIndex,
        count: UInt32, entryBytes: UInt32, tailLength: UInt64, hiding: Segment.Hiding, recordsChecksum: UInt32
    ) {
        self.uid = uid
        self.number = number
        self.kind = kind
        self.salt = salt
        self.first = first
        self.last = last
        self.count = count
        self.entryBytes = entryBytes
        self.tailLength = tailLength
        self.hiding = hiding
        self.recordsChecksum = recordsChecksum
    }

    /// Whether its numbers fit together, so that everything behind may rely on them.
    private var isPossible: Bool {
        guard number > 0, count > 0, first > .zero, last >= first, last.rawValue <= Limits.position,
            UInt64(count) <= last.rawValue - first.rawValue + 1,
            UInt64(entryBytes) >= UInt64(count) * UInt64(EntryHeader.byteCount),
            tailLength >= UInt64(SegmentIndex.byteCountMin(entries: Int(count))), tailLength <= 1 << 32,
            hiding.through.rawValue <= Limits.position, hiding.from > .zero
        else { return false }
        switch kind {
        case .flushed: return UInt64(count) == last.rawValue - first.rawValue + 1
        case .compacted(let replaces): return replaces.lowerBound > 0 && replaces.upperBound < number
        case .installed(let index, _): return last <= index && index.rawValue <= Limits.position
        }
    }
}

extension Segment.Kind {
    fileprivate var details: (code: UInt32, first: UInt64, second: UInt64) {
        switch self {
        case .flushed: (1, 0, 0)
        case .compacted(let replaces): (2, replaces.lowerBound, replaces.upperBound)
        case .installed(let index, let term): (3, index.rawValue, term.rawValue)
        }
    }

    fileprivate init?(code: UInt32, first: UInt64, second: UInt64) {
        switch code {
        case 1: self = .flushed
        case 2 where first <= second: self = .compacted(replaces: first...second)
        case 3: self = .installed(index: LogIndex(first), term: Term(second))
        default: return nil
        }
    }
}
