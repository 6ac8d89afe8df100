import FlotillaWire
import NIOCore

/// Reads the entries of one record, checking each header and body.
struct WALEntriesReader {
    private let image: WALFileImage
    private let uid: ServerUID
    private let payload: Range<Int>

    /// Where each term begins among the entries.
    private(set) var runs: [(first: LogIndex, term: Term)] = []
    /// The configurations among the entries.
    private(set) var configurations: [(index: LogIndex, configuration: ClusterConfiguration)] = []
    /// What is damaged.
    private(set) var damages: [Damage] = []
    /// The checksum that the envelope must name.
    private(set) var checksum: UInt32 = 0
    /// The entries, when nothing is damaged.
    private(set) var record: EntriesRecord?

    init(_ image: WALFileImage, uid: ServerUID, payload: Range<Int>) {
        self.image = image
        self.uid = uid
        self.payload = payload
    }

    mutating func read() {
        guard payload.count >= WALEntriesHead.byteCount + EntryHeader.byteCount else { return }
        let head = WALEntriesHead(from: image.bytes, at: payload.lowerBound)
        let start = payload.lowerBound + WALEntriesHead.byteCount
        guard head.count > 0, head.first > .zero,
            head.first.rawValue.addingReportingOverflow(UInt64(head.count)).overflow == false,
            Int(head.count) <= payload.count / EntryHeader.byteCount
        else {
            damages.append(damage(.recordPayload, at: payload.lowerBound, entries: nil))
            return
        }
        guard let end = readEntries(head, from: start), damages.isEmpty else { return }
        guard end == payload.upperBound, runs.last?.term == head.lastTerm else {
            damages.append(damage(.recordPayload, at: payload.lowerBound, entries: nil))
            return
        }
        record = EntriesRecord(
            uid: uid, epoch: head.epoch, first: head.first, count: Int(head.count), lastTerm: head.lastTerm,
            bytes: ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: image.bytes[start..<end])))
    }

    /// Reads entry by entry; `nil` when a header is damaged, behind which nothing can be found.
    private mutating func readEntries(_ head: WALEntriesHead, from start: Int) -> Int? {
        var place = start
        let last = head.first + (Int(head.count) - 1)
        for step in 0..<Int(head.count) {
            let index = head.first + step
            let bytes = UnsafeRawBufferPointer(rebasing: image.bytes[place..<payload.upperBound])
            guard let header = try? EntryHeader.load(from: bytes), header.index == index,
                header.entryLength <= bytes.count
            else {
                damages.append(damage(.entryHeader, at: place, entries: index...last))
                return nil
            }
            let body = UnsafeRawBufferPointer(rebasing: bytes[EntryHeader.byteCount..<header.entryLength])
            if Checksum.crc32c(body) != header.bodyChecksum {
                damages.append(damage(.entryBody, at: place, entries: index...index))
            } else {
                note(header, body: body, at: place)
            }
            let identity = bytes[EntryRun.identityOffset..<EntryHeader.byteCount]
            checksum = Checksum.crc32c(UnsafeRawBufferPointer(rebasing: identity), continuing: checksum)
            place += header.entryLength
        }
        return place
    }

    private mutating func note(_ header: EntryHeader, body: UnsafeRawBufferPointer, at place: Int) {
        if runs.last?.term != header.term { runs.append((header.index, header.term)) }
        guard header.kind == .configuration else { return }
        var reader = WireReader(ByteBuffer(bytes: body))
        do {
            configurations.append((header.index, try ClusterConfiguration(from: &reader)))
        } catch {
            damages.append(damage(.entryBody, at: place, entries: header.index...header.index))
        }
    }

    private func damage(_ kind: Damage.Kind, at place: Int, entries: ClosedRange<LogIndex>?) -> Damage {
        image.damage(kind, at: place, length: payload.upperBound - place, server: uid, entries: entries)
    }
}
