import FlotillaWire
import NIOCore

/// Who waits for an operation, as the event loop sees it.
enum Waiting {
    case caller(Caller)
    case pipeline(PipelineRecord)
}

/// One open operation.
struct Slot {
    /// How far an operation has come.
    enum State {
        case free
        /// In a queue, never written or certainly not applied.
        case queued
        /// Written to the connection with this number.
        case sent(connection: Int)
    }

    var state = State.free
    /// Rises with every use and every repetition, so that late answers find nobody.
    var generation: UInt32 = 0
    var kind = OperationKind.command
    var route = 0
    var waiting: Waiting?
    /// The caller's own number.
    var correlation: UInt64 = 0
    var deadline = NIODeadline.distantFuture
    /// Its session and its place there; 0 without, and until it is first sent.
    var session: UInt64 = 0
    var serial: UInt64 = 0
    /// Whether session, serial and checksum are filled in.
    var isSealed = false
    /// Whether a copy of it was sent that may be applied, and of which nothing will be heard any more.
    var isUncertain = false
    /// Why it was last sent back.
    var refusal: FlotillaError?
    /// The bytes, and where in its frame they stand.
    var frame: OutFrame?
    var offset = 0
    var length = 0

    var isSent: Bool {
        if case .sent = state { true } else { false }
    }

    /// Whether it makes no difference how often it is sent.
    var mayBeRepeated: Bool { kind.isQuery || serial > 0 }

    /// Whether it may be applied although no answer came.
    var mayBeApplied: Bool { !kind.isQuery && (isSent || isUncertain) }
}

/// What was in the slot of a pipeline's operation that was answered.
struct Answered {
    var record: PipelineRecord
    var correlation: UInt64
    var isQuery: Bool
    var length: Int
    var session: UInt64
    var serial: UInt64
}

/// The open operations by small numbers, which are what goes over the wire: no dictionary is on an operation's way.
struct SlotTable {
    private(set) var slots: [Slot] = []
    private var free: [Int] = []
    private(set) var openCount = 0

    /// Takes free slots.
    mutating func take(_ count: Int) -> [Int] {
        openCount += count
        let reused = min(count, free.count)
        var numbers = Array(free.suffix(reused))
        free.removeLast(reused)
        while numbers.count < count {
            numbers.append(slots.count)
            slots.append(Slot())
        }
        return numbers
    }

    /// Fills taken slots with the items of a frame.
    ///
    /// - Parameter waiting: who waits for an item.
    mutating func fill(
        _ numbers: [Int], with items: [SubmittedItem], frame: OutFrame, route: Int, waiting: (Sink) -> Waiting?
    ) {
        slots.withUnsafeMutableBufferPointer { slots in
            for (number, item) in zip(numbers, items) {
                slots[number].state = .queued
                slots[number].kind = frame.kind
                slots[number].route = route
                slots[number].correlation = item.correlation
                slots[number].deadline = item.deadline
                slots[number].frame = frame
                slots[number].offset = item.offset
                slots[number].length = item.length
                slots[number].session = 0
                slots[number].serial = 0
                slots[number].isSealed = false
                slots[number].isUncertain = false
                slots[number].waiting = waiting(item.sink)
            }
        }
    }

    /// Fills in what is known only when commands are sent, in those of a frame of which that was not done yet.
    ///
    /// - Parameter session: where the serials come from; it must have room.
    mutating func seal(_ frame: OutFrame, in session: inout ClientSession?) {
        let numbers = frame.slots
        slots.withUnsafeMutableBufferPointer { slots in
            frame.withUnsafeMutableBytes { bytes in
                for number in numbers where !slots[number].isSealed {
                    let place = session?.take()
                    let range = slots[number].offset..<slots[number].offset + slots[number].length
                    CommandItem.seal(UnsafeMutableRawBufferPointer(rebasing: bytes[range]), in: place)
                    slots[number].isSealed = true
                    slots[number].session = place?.id ?? 0
                    slots[number].serial = place?.serial ?? 0
                }
            }
        }
        frame.unsealedCount = 0
    }

    /// Has a command sealed anew before it is sent, in another session.
    mutating func unseal(_ number: Int) {
        slots[number].isSealed = false
        slots[number].session = 0
        slots[number].serial = 0
    }

    /// Marks slots as written to a connection.
    mutating func markSent(_ numbers: [Int], connection: Int) {
        for number in numbers { slots[number].state = .sent(connection: connection) }
    }

    /// Frees a slot and returns what was in it; answers to it are late from now on.
    mutating func remove(_ number: Int) -> Slot {
        var slot = Slot()
        slot.generation = slots[number].generation &+ 1
        swap(&slot, &slots[number])
        openCount -= 1
        free.append(number)
        return slot
    }

    /// Frees the slot of a pipeline's operation that was answered, without moving the rest of it about.
    ///
    /// - Returns: `nil` when no pipeline waits for it; nothing is changed then.
    mutating func removeAnswered(
        _ number: Int
    ) -> Answered? {
        let freed = slots.withUnsafeMutableBufferPointer { slots in
            guard case .pipeline(let record) = slots[number].waiting, slots[number].isSent else {
                return nil as Answered?
            }
            slots[number].state = .free
            slots[number].generation &+= 1
            slots[number].waiting = nil
            slots[number].frame = nil
            slots[number].refusal = nil
            return Answered(
                record: record, correlation: slots[number].correlation, isQuery: slots[number].kind.isQuery,
                length: slots[number].length, session: slots[number].session, serial: slots[number].serial)
        }
        guard let freed else { return nil }
        openCount -= 1
        free.append(number)
        return freed
    }

    /// The slot as it stands.
    subscript(number: Int) -> Slot {
        _read { yield slots[number] }
        _modify { yield &slots[number] }
    }

    /// What stands for the slot's present use on the wire.
    func wireCorrelation(_ number: Int) -> UInt64 {
        UInt64(slots[number].generation) << 32 | UInt64(UInt32(truncatingIfNeeded: number))
    }

    /// What stands for the slots' present uses on the wire.
    func wireCorrelations(_ numbers: [Int]) -> [UInt64] { numbers.map { wireCorrelation($0) } }

    /// The slot that an answer from a connection is for; `nil` when it waits for none.
    func find(_ correlation: UInt64, connection: Int) -> Int? {
        let number = Int(correlation & 0xffff_ffff)
        guard number < slots.count, slots[number].generation == UInt32(correlation >> 32),
            case .sent(connection) = slots[number].state
        else { return nil }
        return number
    }

    /// Whether a condition holds for any open slot.
    func contains(where condition: (Slot) -> Bool) -> Bool {
        slots.contains { slot in
            if case .free = slot.state { return false }
            return condition(slot)
        }
    }

    /// The numbers of the open slots that a condition holds for.
    func open(where condition: (Slot) -> Bool) -> [Int] {
        slots.indices.filter { number in
            if case .free = slots[number].state { return false }
            return condition(slots[number])
        }
    }
}
