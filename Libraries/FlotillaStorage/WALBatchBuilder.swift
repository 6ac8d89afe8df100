import FlotillaWire
import NIOCore

/// Assembles one batch after the other in the same aligned memory.
///
/// Entries are copied once and their bodies are not looked at: a run costs one copy and a walk over its headers.
struct WALBatchBuilder {
    private(set) var memory: AlignedMemory
    private(set) var length = 0
    private(set) var recordCount: UInt32 = 0
    private var recordsChecksum: UInt32 = 0
    private var seed: UInt32 = 0
    private var offset: UInt64 = 0
    private var scratch = ByteBuffer()

    init(capacity: Int) { memory = AlignedMemory(capacity: capacity) }

    /// Whether it holds no record.
    var isEmpty: Bool { recordCount == 0 }

    /// Starts a batch that will stand at `offset` of the file with this seed.
    mutating func begin(seed: UInt32, offset: UInt64) {
        self.seed = seed
        self.offset = offset
        length = WALBatchHeader.byteCount
        recordCount = 0
        recordsChecksum = 0
    }

    /// Adds a record unless the batch, without padding, would become longer than `limit`.
    ///
    /// - Returns: the checksum of the record's envelope; `nil` when it did not fit and nothing was added.
    mutating func append(_ item: WALItem, limit: Int) -> UInt32? {
        if case .record(.entries(let record)) = item { return append(record, limit: limit) }
        scratch.clear()
        WALPayload.encode(item, into: &scratch)
        let count = scratch.readableBytes
        guard let place = reserve(payload: count, limit: limit) else { return nil }
        let checksum = scratch.withUnsafeReadableBytes { bytes in
            place.copy(from: bytes, at: WALRecordEnvelope.byteCount)
            return Checksum.crc32c(bytes)
        }
        var uid = ServerUID.none
        if case .record(let record) = item { uid = record.uid ?? .none }
        return seal(
            WALRecordEnvelope(
                kind: item.kind.rawValue, payloadLength: UInt32(count), uid: uid, payloadChecksum: checksum),
            at: place)
    }

    private mutating func append(_ record: EntriesRecord, limit: Int) -> UInt32? {
        let count = WALEntriesHead.byteCount + record.bytes.readableBytes
        guard let place = reserve(payload: count, limit: limit) else { return nil }
        WALEntriesHead(record).store(to: place + WALRecordEnvelope.byteCount)
        let checksum = record.bytes.withUnsafeReadableBytes { bytes in
            place.copy(from: bytes, at: WALRecordEnvelope.byteCount + WALEntriesHead.byteCount)
            return EntryRun.checksum(bytes, first: record.first, count: record.count)
        }
        return seal(
            WALRecordEnvelope(
                kind: WALRecordKind.entries.rawValue, payloadLength: UInt32(count), uid: record.uid,
                payloadChecksum: checksum),
            at: place)
    }

    /// Writes the batch's header and zeros up to the next block.
    ///
    /// - Returns: how many bytes to write, and the batch's checksum.
    mutating func finish(number: UInt64, previousChecksum: UInt32) -> (bytes: Int, checksum: UInt32) {
        let header = WALBatchHeader(
            number: number, recordCount: recordCount, length: UInt32(length), previousChecksum: previousChecksum,
            recordsChecksum: recordsChecksum)
        let padded = AlignedMemory.roundUp(length)
        (memory.base + length).initializeMemory(as: UInt8.self, repeating: 0, count: padded - length)
        return (padded, header.store(to: memory.base, seed: seed, offset: offset))
    }

    /// Makes room for a record and zeroes its last bytes, which the alignment adds.
    private mutating func reserve(payload: Int, limit: Int) -> UnsafeMutableRawPointer? {
        let span = WALRecordEnvelope.span(payload: payload)
        guard length + span <= limit else { return nil }
        if length + span > memory.capacity { grow(to: length + span) }
        let place = memory.base + length
        place.storeBytes(of: 0, toByteOffset: span - WALRecordEnvelope.alignment, as: UInt64.self)
        return place
    }

    private mutating func grow(to count: Int) {
        let larger = AlignedMemory(capacity: max(count, memory.capacity * 2))
        larger.base.copyMemory(from: memory.base, byteCount: length)
        memory = larger
    }

    private mutating func seal(_ envelope: WALRecordEnvelope, at place: UnsafeMutableRawPointer) -> UInt32 {
        let checksum = envelope.store(to: place, seed: seed, offset: offset + UInt64(length))
        recordsChecksum = withUnsafeBytes(of: checksum.littleEndian) {
            Checksum.crc32c($0, continuing: recordsChecksum)
        }
        recordCount += 1
        length += WALRecordEnvelope.span(payload: Int(envelope.payloadLength))
        return checksum
    }
}

extension UnsafeMutableRawPointer {
    /// Copies bytes to an offset where the caller has made room.
    fileprivate func copy(from bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard let source = bytes.baseAddress else { return }
        (self + offset).copyMemory(from: source, byteCount: bytes.count)
    }
}
