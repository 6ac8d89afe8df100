import FlotillaWire
import NIOCore

/// The tail of a segment file: where each of its entries stands, and what it is.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | `FSIX` |
/// | 4 | 4 | how many term runs there are |
/// | 8 | 4 | how many configurations there are |
/// | 12 | 4 | reserved, 0 |
/// | 16 | 8 | the leader's time in the last entry |
/// | 24 | 20 each | per entry: index (8), offset behind the first entry (4), checksum of its body (4) and of its header (4) |
/// | behind them | 16 each | per term run: index of its first entry (8), term (8) |
/// | behind them | | per configuration: index of its entry (8), length (4), encoded configuration |
/// | last 4 | 4 | CRC32C over all before, continuing that of the file's salt, ServerUID and number |
///
/// What stands between the configurations and the checksum is left alone, so that a newer minor version can add to it.
///
/// The checksums of an entry's header and body make an entry of another file, at the right index and right in itself,
/// wrong here.
struct SegmentIndex: Sendable {
    static let magic: UInt32 = 0x5849_5346
    static let headBytes = 24
    static let recordBytes = 20
    static let runBytes = 16
    static let checksumBytes = 4

    /// The shortest tail for a number of entries.
    static func byteCountMin(entries: Int) -> Int { headBytes + entries * recordBytes + runBytes + checksumBytes }

    /// What the tail says of one entry.
    struct Record: Equatable {
        var index: LogIndex
        /// Where it begins, counted from the first entry.
        var offset: Int
        var bodyChecksum: UInt32
        var headerChecksum: UInt32
    }

    let count: Int
    let entryBytes: Int
    let first: LogIndex
    let last: LogIndex
    let termRuns: [Segment.TermRun]
    let configurations: [Segment.StoredConfiguration]
    let lastTime: UInt64
    /// The records as they stand in the tail.
    private let records: [UInt8]

    init(_ builder: SegmentIndexBuilder) {
        count = builder.count
        entryBytes = builder.entryBytes
        first = builder.first
        last = builder.last
        termRuns = builder.termRuns
        configurations = builder.configurations
        lastTime = builder.lastTime
        records = builder.records
    }

    /// Reads the tail of a file with a header; `nil` when it is damaged.
    init?(_ tail: UnsafeRawBufferPointer, of header: SegmentHeader) {
        guard UInt64(tail.count) == header.tailLength, let base = tail.baseAddress,
            Checksum.crc32c(base, count: tail.count - Self.checksumBytes, continuing: header.seed)
                == tail.little(UInt32.self, at: tail.count - Self.checksumBytes),
            tail.little(UInt32.self, at: 0) == Self.magic
        else { return nil }
        count = Int(header.count)
        entryBytes = Int(header.entryBytes)
        first = header.first
        last = header.last
        lastTime = tail.little(UInt64.self, at: 16)
        let recordsEnd = Self.headBytes + count * Self.recordBytes
        records = Array(tail[Self.headBytes..<recordsEnd])
        let rest = UnsafeRawBufferPointer(rebasing: tail[recordsEnd..<tail.count - Self.checksumBytes])
        guard let runs = Self.readRuns(rest, count: tail.little(UInt32.self, at: 4)) else { return nil }
        termRuns = runs
        var reader = WireReader(ByteBuffer(bytes: rest[(runs.count * Self.runBytes)...]))
        guard let found = try? Self.readConfigurations(&reader, count: tail.little(UInt32.self, at: 8)) else {
            return nil
        }
        configurations = found
        guard isPossible else { return nil }
    }

    private static func readRuns(_ bytes: UnsafeRawBufferPointer, count: UInt32) -> [Segment.TermRun]? {
        guard Int(count) <= bytes.count / runBytes else { return nil }
        return (0..<Int(count)).map { place in
            Segment.TermRun(
                first: LogIndex(bytes.little(UInt64.self, at: place * runBytes)),
                term: Term(bytes.little(UInt64.self, at: place * runBytes + 8)))
        }
    }

    private static func readConfigurations(
        _ reader: inout WireReader, count: UInt32
    ) throws(WireError) -> [Segment.StoredConfiguration] {
        var found: [Segment.StoredConfiguration] = []
        for _ in 0..<count {
            let index = try reader.index()
            var body = WireReader(try reader.block(limit: Limits.commandBytesMax))
            found.append(
                Segment.StoredConfiguration(index: index, configuration: try ClusterConfiguration(from: &body)))
        }
        return found
    }

    /// Whether its numbers fit together, so that everything behind may rely on them.
    private var isPossible: Bool {
        guard termRuns.first?.first == first, record(at: 0).index == first, record(at: 0).offset == 0,
            record(at: count - 1).index == last
        else { return false }
        for (left, right) in zip(termRuns, termRuns.dropFirst()) where left.first >= right.first { return false }
        var before = record(at: 0)
        for position in 1..<max(1, count) {
            let record = record(at: position)
            guard record.index > before.index, record.offset - before.offset >= EntryHeader.byteCount else {
                return false
            }
            before = record
        }
        return entryBytes - before.offset >= EntryHeader.byteCount
    }
}

extension SegmentIndex {
    /// What is said of the entry at a position, counted from 0.
    @inline(__always)
    func record(at position: Int) -> Record {
        let place = position * Self.recordBytes
        return records.withUnsafeBytes { bytes in
            Record(
                index: LogIndex(bytes.little(UInt64.self, at: place)),
                offset: Int(bytes.little(UInt32.self, at: place + 8)),
                bodyChecksum: bytes.little(UInt32.self, at: place + 12),
                headerChecksum: bytes.little(UInt32.self, at: place + 16))
        }
    }

    /// Where the entry at a position ends, counted from the first entry.
    func end(of position: Int) -> Int { position + 1 < count ? record(at: position + 1).offset : entryBytes }

    /// The position of the first entry whose index is not below `index`; `count` when there is none.
    func position(notBelow index: LogIndex) -> Int {
        guard index > first else { return 0 }
        guard index <= last else { return count }
        // In a dense segment the answer is where it would be; a sparse one is searched.
        if last - first == count - 1 { return index - first }
        var low = 0
        var high = count - 1
        while low < high {
            let middle = (low + high) / 2
            if record(at: middle).index < index { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The position of an entry; `nil` when the segment does not hold it.
    func position(of index: LogIndex) -> Int? {
        let position = position(notBelow: index)
        return position < count && record(at: position).index == index ? position : nil
    }

    /// The last position through `last` up to which the entries from `position` on take at most `limit` bytes; at
    /// least `position` itself.
    func furthest(from position: Int, through last: Int, limit: Int) -> Int {
        let start = record(at: position).offset
        var low = position
        var high = last
        while low < high {
            let middle = (low + high + 1) / 2
            if end(of: middle) - start <= limit { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// The term of an entry that the segment holds.
    func term(at index: LogIndex) -> Term {
        var low = 0
        var high = termRuns.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if termRuns[middle].first <= index { low = middle } else { high = middle - 1 }
        }
        return termRuns[low].term
    }

    /// What the entry of a record is, whatever its bytes are by now.
    func identity(_ record: Record) -> EntryIdentity {
        EntryIdentity(index: record.index, term: term(at: record.index), bodyChecksum: record.bodyChecksum)
    }

    /// What is damaged of the bytes that should be the entry at a position; `nil` when they are right.
    func damage(_ bytes: UnsafeRawBufferPointer, at position: Int) -> Damage.Kind? {
        let record = record(at: position)
        guard bytes.count == end(of: position) - record.offset, let base = bytes.baseAddress,
            let header = try? EntryHeader.load(from: bytes), header.index == record.index,
            header.bodyChecksum == record.bodyChecksum, header.entryLength == bytes.count,
            bytes.little(UInt32.self, at: 36) == record.headerChecksum
        else { return .entryHeader }
        let body = Checksum.crc32c(base + EntryHeader.byteCount, count: bytes.count - EntryHeader.byteCount)
        return body == record.bodyChecksum ? nil : .entryBody
    }
}
