import FlotillaWire
import NIOCore

/// A record that was read from a file.
struct WALReadRecord {
    /// What it holds.
    enum Content {
        case item(WALItem)
        /// A record that is damaged, with a head that is right.
        case unreadable
        /// The entries, their term runs, and the configurations among them.
        case entries(
            EntriesRecord, runs: [(first: LogIndex, term: Term)],
            configurations: [(index: LogIndex, configuration: ClusterConfiguration)])
    }

    let content: Content
    let offset: Int
    let checksum: UInt32
}

/// Reads one batch whose header is right, checking every byte of it.
struct WALBatchReader {
    private let image: WALFileImage
    private let offset: Int
    private let header: WALBatchHeader
    /// The records whose heads are right; of entries only those that are right in all.
    private(set) var records: [WALReadRecord] = []
    /// What is not.
    private(set) var damages: [Damage] = []

    init(_ image: WALFileImage, at offset: Int, header: WALBatchHeader) {
        self.image = image
        self.offset = offset
        self.header = header
        read()
    }

    /// Whether all of it is as it was written, harmless damage aside.
    var isWhole: Bool { damages.allSatisfy(\.isHarmless) }

    private var end: Int { offset + Int(header.length) }

    private mutating func read() {
        var next = offset + WALBatchHeader.byteCount
        var rolling: UInt32 = 0
        for _ in 0..<header.recordCount {
            guard let (envelope, checksum) = envelope(at: next) else {
                damages.append(image.damage(.recordEnvelope, at: next, length: max(0, end - next)))
                return
            }
            rolling = withUnsafeBytes(of: checksum.littleEndian) { Checksum.crc32c($0, continuing: rolling) }
            readRecord(envelope, checksum: checksum, at: next)
            let payloadEnd = next + WALRecordEnvelope.byteCount + Int(envelope.payloadLength)
            next += WALRecordEnvelope.span(payload: Int(envelope.payloadLength))
            checkPadding(payloadEnd..<next)
        }
        if rolling != header.recordsChecksum || next != end {
            damages.append(image.damage(.recordEnvelope, at: offset, length: Int(header.length)))
        }
        checkPadding(end..<offset + header.paddedLength)
    }

    private func envelope(at next: Int) -> (envelope: WALRecordEnvelope, checksum: UInt32)? {
        guard next + WALRecordEnvelope.byteCount <= end,
            let found = WALRecordEnvelope.load(from: image.bytes, at: next, seed: image.header.seed),
            next + WALRecordEnvelope.span(payload: Int(found.envelope.payloadLength)) <= end
        else { return nil }
        return found
    }

    private mutating func checkPadding(_ range: Range<Int>) {
        guard !UnsafeRawBufferPointer(rebasing: image.bytes[range]).isZero else { return }
        damages.append(image.damage(.padding, at: range.lowerBound, length: range.count))
    }

    private mutating func readRecord(_ envelope: WALRecordEnvelope, checksum: UInt32, at place: Int) {
        let server = envelope.uid == .none ? nil : envelope.uid
        let start = place + WALRecordEnvelope.byteCount
        let payload = start..<start + Int(envelope.payloadLength)
        guard let kind = WALRecordKind(rawValue: envelope.kind) else {
            addUnreadable(payload, of: server, checksum: checksum, at: place)
            return
        }
        if kind == .entries {
            readEntries(envelope, payload, checksum: checksum, at: place)
            return
        }
        let bytes = UnsafeRawBufferPointer(rebasing: image.bytes[payload])
        guard Checksum.crc32c(bytes) == envelope.payloadChecksum,
            let item = try? WALPayload.decode(kind, uid: envelope.uid, from: ByteBuffer(bytes: bytes))
        else {
            addUnreadable(payload, of: server, checksum: checksum, at: place)
            return
        }
        records.append(WALReadRecord(content: .item(item), offset: place, checksum: checksum))
    }

    private mutating func addUnreadable(_ payload: Range<Int>, of server: ServerUID?, checksum: UInt32, at place: Int) {
        damages.append(image.damage(.recordPayload, at: place, length: payload.count, server: server))
        records.append(WALReadRecord(content: .unreadable, offset: place, checksum: checksum))
    }

    private mutating func readEntries(
        _ envelope: WALRecordEnvelope, _ payload: Range<Int>, checksum: UInt32, at place: Int
    ) {
        var run = WALEntriesReader(image, uid: envelope.uid, payload: payload)
        run.read()
        damages.append(contentsOf: run.damages)
        guard run.damages.isEmpty else { return }
        guard run.checksum == envelope.payloadChecksum, let record = run.record else {
            damages.append(
                image.damage(.recordPayload, at: place, length: payload.count, server: envelope.uid))
            return
        }
        let content = WALReadRecord.Content.entries(
            record, runs: run.runs, configurations: run.configurations)
        records.append(WALReadRecord(content: content, offset: place, checksum: checksum))
    }
}
