import FlotillaConsensus
import FlotillaWire
import NIOCore

/// Entries that came with an AppendEntries, verified: every checksum is right, every index follows the one before.
struct ReceivedEntries {
    private let buffer: ByteBuffer
    let first: LogIndex
    let count: Int
    /// Where each term begins among them.
    private(set) var terms: [TermRun] = []
    private(set) var configurations: [(index: LogIndex, configuration: ClusterConfiguration)] = []
    /// The first among them that ends the cluster.
    private(set) var endIndex: LogIndex?
    /// The leader's clock in the last of them.
    private(set) var lastTime: UInt64 = 0

    /// Verifies the encoded entries that follow an AppendEntries.
    ///
    /// - Throws: `WireError` with what is wrong at which index; none of the entries may be used then.
    init(_ buffer: ByteBuffer, following append: AppendEntries) throws(WireError) {
        first = append.previousIndex.next
        count = append.count
        var position = 0
        var configurationBodies: [(LogIndex, Range<Int>)] = []
        var runs: [TermRun] = []
        var time: UInt64 = 0
        var end: LogIndex?
        let failure = buffer.withUnsafeReadableBytes { bytes -> WireError? in
            var index = append.previousIndex
            for _ in 0..<append.count {
                index = index.next
                let header: EntryHeader
                do {
                    header = try EntryHeader.verify(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                } catch {
                    return WireError(.checksum, "entry \(index) is damaged: \(error)")
                }
                guard header.index == index else {
                    return WireError(.malformed, "entry \(header.index) stands where \(index) was announced")
                }
                guard header.term.rawValue <= Limits.position, header.term <= append.term else {
                    return WireError(
                        .malformed, "entry \(index) is of term \(header.term), the leader's is \(append.term)")
                }
                if runs.last?.term != header.term { runs.append(TermRun(first: index, term: header.term)) }
                if header.kind == .configuration {
                    let start = position + EntryHeader.byteCount
                    configurationBodies.append((index, start..<start + Int(header.bodyLength)))
                }
                if header.kind == .endOfLife, end == nil { end = index }
                time = header.time
                position += header.entryLength
            }
            return nil
        }
        if let failure { throw failure }
        guard let entries = buffer.getSlice(at: buffer.readerIndex, length: position) else {
            throw WireError(.truncated, "\(position) bytes of entries expected")
        }
        self.buffer = entries
        terms = runs
        lastTime = time
        endIndex = end
        for (index, range) in configurationBodies {
            guard let body = entries.getSlice(at: entries.readerIndex + range.lowerBound, length: range.count) else {
                throw WireError(.truncated, "configuration at \(index)")
            }
            var reader = WireReader(body)
            configurations.append((index, try ClusterConfiguration(from: &reader)))
        }
    }

    /// The encoded entries without the first few.
    func bytes(skipping skip: Int) -> ByteBuffer {
        var rest = buffer
        for _ in 0..<skip {
            guard let length: UInt32 = rest.getInteger(at: rest.readerIndex + 4, endianness: .little) else { break }
            rest.moveReaderIndex(forwardBy: EntryHeader.byteCount + Int(length))
        }
        return rest
    }
}
