import FlotillaWire
import NIOCore

/// Gathers what the tail of a segment says, entry by entry.
struct SegmentIndexBuilder: Sendable {
    private(set) var count = 0
    private(set) var entryBytes = 0
    private(set) var first = LogIndex.zero
    private(set) var last = LogIndex.zero
    private(set) var termRuns: [Segment.TermRun] = []
    private(set) var configurations: [Segment.StoredConfiguration] = []
    private(set) var lastTime: UInt64 = 0
    /// The records as they stand in the tail.
    private(set) var records: [UInt8] = []

    /// - Parameter entries: about how many there will be.
    init(entries: Int) { records.reserveCapacity(entries * SegmentIndex.recordBytes) }

    /// Adds the entry whose header stands at an address. Its index must be above the last one.
    ///
    /// - Returns: whether it is a configuration, which must be added too.
    @inline(__always)
    mutating func add(header base: UnsafeRawPointer) -> Bool {
        let index = EntryRun.index(at: base)
        let term = Term(UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
        // The checksums stand in the header in the order and in the form in which the record has them.
        let record = (
            index.littleEndian, UInt32(truncatingIfNeeded: entryBytes).littleEndian,
            base.loadUnaligned(fromByteOffset: EntryRun.identityOffset, as: UInt32.self),
            base.loadUnaligned(fromByteOffset: EntryRun.identityOffset + 4, as: UInt32.self)
        )
        withUnsafeBytes(of: record) { records.append(contentsOf: $0[..<SegmentIndex.recordBytes]) }
        if termRuns.last?.term != term { termRuns.append(Segment.TermRun(first: LogIndex(index), term: term)) }
        if count == 0 { first = LogIndex(index) }
        last = LogIndex(index)
        lastTime = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        count += 1
        entryBytes += EntryRun.length(at: base)
        return base.load(as: UInt8.self) == EntryKind.configuration.rawValue
    }

    /// Adds the configuration that the last added entry has in its body.
    mutating func addConfiguration(_ body: UnsafeRawBufferPointer) throws(WireError) {
        var reader = WireReader(ByteBuffer(bytes: body))
        configurations.append(
            Segment.StoredConfiguration(index: last, configuration: try ClusterConfiguration(from: &reader)))
    }

    /// CRC32C of the records.
    var recordsChecksum: UInt32 { Checksum.crc32c(records) }

    /// The tail of a file whose checksums start from `seed`.
    func tail(seed: UInt32) -> ByteBuffer {
        var tail = ByteBuffer()
        tail.reserveCapacity(SegmentIndex.byteCountMin(entries: count) + termRuns.count * SegmentIndex.runBytes)
        tail.writeLittle(SegmentIndex.magic)
        tail.writeLittle(UInt32(termRuns.count))
        tail.writeLittle(UInt32(configurations.count))
        tail.writeLittle(UInt32(0))
        tail.writeLittle(lastTime)
        tail.writeBytes(records)
        for run in termRuns {
            tail.writeLittle(run.first.rawValue)
            tail.writeLittle(run.term.rawValue)
        }
        for stored in configurations {
            var encoded = ByteBuffer()
            stored.configuration.encode(into: &encoded)
            tail.writeLittle(stored.index.rawValue)
            tail.writeBlock(encoded)
        }
        tail.writeLittle(tail.withUnsafeReadableBytes { Checksum.crc32c($0, continuing: seed) })
        return tail
    }
}
