import FlotillaWire
import NIOCore

/// Who waits for an operation, as the event loop sees it.
enum Waiting {
    case caller(CheckedContinuation<Result<RawResult, any Error>, Never>)
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
    /// Why it was last sent back.
    var refusal: FlotillaError?
    /// The bytes, and where in its frame they stand.
    var frame: OutFrame?
    var offset = 0
    var length = 0

    var isSent: Bool {
        if case .sent = state { true } else { false }
    }
}

/// The open operations by small numbers, which are what goes over the wire: no dictionary is on an operation's way.
struct SlotTable {
    private(set) var slots: [Slot] = []
    private var free: [Int] = []
    private(set) var openCount = 0

    /// Takes a free slot.
    mutating func take() -> Int {
        openCount += 1
        if let number = free.popLast() { return number }
        slots.append(Slot())
        return slots.count - 1
    }

    /// Frees a slot; answers to it are late from now on.
    mutating func release(_ number: Int) {
        slots[number].state = .free
        slots[number].generation &+= 1
        slots[number].waiting = nil
        slots[number].frame = nil
        slots[number].refusal = nil
        openCount -= 1
        free.append(number)
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

    /// The slot that an answer from a connection is for; `nil` when it waits for none.
    func find(_ correlation: UInt64, connection: Int) -> Int? {
        let number = Int(correlation & 0xffff_ffff)
        guard number < slots.count, slots[number].generation == UInt32(correlation >> 32),
            case .sent(connection) = slots[number].state
        else { return nil }
        return number
    }

    /// The numbers of the open slots that a condition holds for.
    func open(where condition: (Slot) -> Bool) -> [Int] {
        slots.indices.filter { number in
            if case .free = slots[number].state { return false }
            return condition(slots[number])
        }
    }
}
