import FlotillaWire
import NIOCore

/// A frame of operations that waits to be written, or was written and has operations open.
final class OutFrame {
    let kind: OperationKind
    private(set) var buffer: ByteBuffer
    /// The slots of its items, in order.
    private(set) var slots: [Int] = []
    /// How many of its items are not to be sent any more.
    var abandoned = 0
    /// How many of its items are commands that were never sealed.
    var unsealedCount = 0

    /// An empty frame for repetitions.
    init(kind: OperationKind) {
        self.kind = kind
        buffer = ByteBuffer()
        buffer.writeRepeatingByte(0, count: SubmittedFrame.headByteCount)
    }

    /// A frame as its callers submitted it, whose items get these slots.
    init(kind: OperationKind, buffer: consuming ByteBuffer, items: [SubmittedItem], slots: [Int], wire: [UInt64]) {
        self.kind = kind
        // One access for all items: the buffer starts at its first byte, so offsets are positions in it.
        buffer.withUnsafeMutableReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for (item, correlation) in zip(items, wire) {
                let place = item.offset + kind.correlationOffset
                precondition(place + 8 <= bytes.count, "an item reaches beyond its frame")
                (base + place).storeBytes(of: correlation.littleEndian, as: UInt64.self)
            }
        }
        self.buffer = buffer
        self.slots = slots
        unsealedCount = kind.isQuery ? 0 : slots.count
    }

    var isFull: Bool { buffer.writerIndex >= SubmissionQueue.frameByteTarget }

    /// Copies the item of a slot to the end.
    ///
    /// - Returns: where it stands now.
    func copyItem(of slot: Slot, number: Int, wireCorrelation: UInt64) -> Int {
        let offset = buffer.writerIndex
        if let bytes = slot.frame?.buffer.getSlice(at: slot.offset, length: slot.length) {
            buffer.writeImmutableBuffer(bytes)
        }
        slots.append(number)
        if !kind.isQuery, !slot.isSealed { unsealedCount += 1 }
        buffer.setInteger(wireCorrelation, at: offset + kind.correlationOffset, endianness: .little)
        return offset
    }

    /// Gives access to its bytes, at the offsets of the items.
    func withUnsafeMutableBytes(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        buffer.withUnsafeMutableReadableBytes(body)
    }

    /// Fills in the head.
    func seal(target: ServerUID) {
        let end = buffer.writerIndex
        buffer.moveWriterIndex(to: 0)
        let start = buffer.beginFrame(kind.isQuery ? .queries : .commands)
        let body = buffer.writerIndex
        if let consistency = kind.consistency {
            QueryBatch.begin(target: target, consistency: consistency, into: &buffer)
            QueryBatch.setCount(slots.count, from: body, in: &buffer)
        } else {
            CommandBatch.begin(target: target, into: &buffer)
            CommandBatch.setCount(slots.count, from: body, in: &buffer)
        }
        buffer.moveWriterIndex(to: end)
        buffer.endFrame(from: start)
    }
}
