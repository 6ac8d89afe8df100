import FlotillaWire
import NIOCore

/// The replies of one session that its client may ask for once more: those to commands from its lowest open serial on.
///
/// The bytes stand in one buffer, since a reply is often shorter than what an allocation costs.
struct KeptReplies: Sendable {
    /// How many bytes of replies are kept. Of what is beyond it is known only that it was applied.
    static let byteLimit = 64 << 10

    /// A reply's place.
    struct Slot: Sendable, Equatable {
        var serial: UInt64
        /// Where in the log the command stands.
        var index: LogIndex
        var start: Int
        /// Nothing for a reply that is not kept.
        var length: Int?
    }

    /// In ascending order of their serials; those before `head` are needed no more.
    private var slots: [Slot] = []
    private var head = 0
    private var bytes = ByteBuffer()
    /// How many of the bytes belong to slots that are needed.
    private var live = 0

    /// Those that are needed, in ascending order.
    var needed: ArraySlice<Slot> { slots[head...] }

    /// The reply in a slot; `nil` where it is not kept.
    func reply(in slot: Slot) -> ByteBuffer? { slot.length.flatMap { bytes.getSlice(at: slot.start, length: $0) } }

    /// The slot of a command that was applied.
    func slot(of serial: UInt64) -> Slot? {
        let place = place(of: serial)
        return place < slots.count && slots[place].serial == serial ? slots[place] : nil
    }

    /// Where the first slot stands that is not before a serial. Most commands come in their order, so the end is first.
    private func place(of serial: UInt64) -> Int {
        guard let last = slots.last, last.serial >= serial else { return slots.count }
        var (low, high) = (head, slots.count)
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].serial < serial { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Lets go of the replies to commands before a serial.
    mutating func drop(below serial: UInt64) {
        while head < slots.count, slots[head].serial < serial {
            live -= slots[head].length ?? 0
            head += 1
        }
        if head == slots.count {
            slots.removeAll(keepingCapacity: true)
            head = 0
            // Sessions are many, and few are busy: what a burst needed is not held for ever.
            if bytes.capacity > Self.idleByteLimit { bytes = ByteBuffer() } else { bytes.clear() }
        } else {
            if head >= 64, head * 2 > slots.count {
                slots.removeFirst(head)
                head = 0
            }
            if bytes.writerIndex > 2 * live + Self.idleByteLimit { compact() }
        }
    }

    /// How much memory a session may hold that it does not need.
    private static let idleByteLimit = 16 << 10

    /// How many bytes are held, needed or not.
    var heldBytes: Int { bytes.capacity }

    private mutating func compact() {
        var packed = ByteBuffer()
        packed.reserveCapacity(live)
        for position in head..<slots.count {
            guard let reply = reply(in: slots[position]) else { continue }
            slots[position].start = packed.writerIndex
            packed.writeImmutableBuffer(reply)
        }
        bytes = packed
    }

    /// Keeps the reply that `write` appends, as the one to a command that was not applied before.
    ///
    /// - Returns: the reply, also when it is too long to be kept.
    mutating func keep(_ serial: UInt64, at index: LogIndex, _ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
        let start = bytes.writerIndex
        write(&bytes)
        let length = bytes.writerIndex - start
        let reply = bytes.getSlice(at: start, length: length) ?? ByteBuffer()
        let isKept = live + length <= Self.byteLimit
        insert(Slot(serial: serial, index: index, start: start, length: isKept ? length : nil))
        guard isKept else {
            bytes.moveWriterIndex(to: start)
            return reply
        }
        live += length
        return reply
    }

    /// Puts back what a snapshot says of a command.
    mutating func restore(_ serial: UInt64, at index: LogIndex, _ reply: ByteBuffer?) {
        guard let reply else { return insert(Slot(serial: serial, index: index, start: 0, length: nil)) }
        insert(Slot(serial: serial, index: index, start: bytes.writerIndex, length: reply.readableBytes))
        bytes.writeImmutableBuffer(reply)
        live += reply.readableBytes
    }

    private mutating func insert(_ slot: Slot) { slots.insert(slot, at: place(of: slot.serial)) }
}
