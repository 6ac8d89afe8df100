import DequeModule
import FlotillaWire
import NIOCore

/// Single entries, found without walking through the whole batch in which they came.
extension MemoryTable {
    /// How many entries there are from one mark to the next.
    private static let markStride = 8

    /// One encoded entry; `nil` when the table does not hold it.
    public func entry(at index: LogIndex) -> ByteBuffer? {
        guard contains(index) else { return nil }
        let batch = batches[place(of: index)]
        let start = start(of: index, in: batch)
        let length = batch.bytes.withUnsafeReadableBytes { bytes -> Int in
            precondition(bytes.count - start >= EntryHeader.byteCount, "entries end in the middle of a header")
            return bytes.baseAddress.map { EntryRun.length(at: $0 + start) } ?? 0
        }
        return batch.slice(start, length)
    }

    private func start(of index: LogIndex, in batch: Region) -> Int {
        // What is small is not worth marks, and may yet be gathered with others.
        guard batch.bytes.readableBytes >= Self.looseBatchBytes else { return batch.offset(of: index) }
        let place = index - batch.first
        let mark = Int(marks(of: batch)[place / Self.markStride])
        return batch.bytes.withUnsafeReadableBytes { bytes in
            mark + EntryRun.byteCount(of: place % Self.markStride, in: UnsafeRawBufferPointer(rebasing: bytes[mark...]))
        }
    }

    /// The marks of a batch, made when they are wanted for the first time.
    private func marks(of batch: Region) -> [UInt32] {
        if let marks = marks[batch.first] { return marks }
        var made: [UInt32] = []
        made.reserveCapacity((batch.count + Self.markStride - 1) / Self.markStride)
        batch.bytes.withUnsafeReadableBytes { bytes in
            var offset = 0
            for place in stride(from: 0, to: batch.count, by: Self.markStride) {
                made.append(UInt32(offset))
                offset += EntryRun.byteCount(
                    of: min(Self.markStride, batch.count - place),
                    in: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
            }
        }
        marks[batch.first] = made
        return made
    }
}
