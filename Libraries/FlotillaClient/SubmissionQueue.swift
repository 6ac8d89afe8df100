import DequeModule
import FlotillaWire
import NIOCore
import Synchronization

/// What lies between the threads of the callers and the event loop: operations in the order of their submission, and
/// the bounds on how many may be open.
///
/// Callers encode in their own thread, straight into the frame that will be written; the event loop is woken once for
/// everything that waits.
final class SubmissionQueue: Sendable {
    /// A frame is closed when it has this many bytes.
    static let frameByteTarget = 256 << 10

    /// What became of a submission.
    enum Admission: Sendable {
        case accepted(wake: Bool)
        case full
        case tooLarge
        case shutDown
    }

    /// An operation that waits for room, encoded as an item.
    struct Waiter: Sendable {
        var route: Int
        var kind: OperationKind
        var item: ByteBuffer
        var sink: Sink
        var correlation: UInt64
        var deadline: NIODeadline
    }

    /// What the event loop takes in one go.
    struct Taken: Sendable {
        var frames: [SubmittedFrame]
        var pipelines: [(number: Int, deliver: PipelineRecord.Deliver)]
        var isIdle: Bool
    }

    fileprivate struct State: Sendable {
        let countLimit: Int
        let byteLimit: Int
        var isShutDown = false
        var wakePending = false
        var openCount = 0
        var openBytes = 0
        var closed: [SubmittedFrame] = []
        var building: [SubmittedFrame] = []
        var waiters = Deque<Waiter>()
        var routes: [RouteKey] = []
        var capacity = 512
        var newPipelines: [(number: Int, deliver: PipelineRecord.Deliver)] = []
        var nextNumber: UInt64 = 1
    }

    private let state: Mutex<State>

    init(countLimit: Int, byteLimit: Int) {
        state = Mutex(State(countLimit: countLimit, byteLimit: byteLimit))
    }

    /// A number that was not given out before.
    func nextNumber() -> UInt64 {
        state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
    }

    /// The number of a route, for the cheap way.
    func route(_ key: RouteKey) -> Int {
        state.withLock { state in
            if let number = state.routes.firstIndex(of: key) { return number }
            state.routes.append(key)
            return state.routes.count - 1
        }
    }

    /// The route that has a number.
    func key(ofRoute number: Int) -> RouteKey { state.withLock { $0.routes[number] } }

    /// Makes a pipeline known to the event loop before its first operation.
    func register(pipeline number: Int, deliver: @escaping PipelineRecord.Deliver) {
        state.withLock { $0.newPipelines.append((number, deliver)) }
    }

    /// Submits an operation that `write` encodes as an item, if there is room and nobody waits for some.
    func submit(
        route: Int, kind: OperationKind, sink: Sink, correlation: UInt64, deadline: NIODeadline,
        _ write: (inout ByteBuffer) -> Void
    ) -> Admission {
        state.withLock { state in
            guard !state.isShutDown else { return .shutDown }
            guard state.waiters.isEmpty, state.openCount < state.countLimit else { return .full }
            let position = state.buildingPosition(route: route, kind: kind)
            let offset = state.building[position].buffer.writerIndex
            write(&state.building[position].buffer)
            let length = state.building[position].buffer.writerIndex - offset
            if let refusal = state.refusal(length, kind) {
                state.building[position].buffer.moveWriterIndex(to: offset)
                return refusal
            }
            state.append(
                SubmittedItem(
                    sink: sink, correlation: correlation, deadline: deadline, offset: offset, length: length),
                at: position)
            return .accepted(wake: state.wakeNeeded())
        }
    }

    /// Submits operations in order until one finds no room: one lock and one look-up for all of them.
    ///
    /// - Parameter write: encodes the item at a position and returns its correlation.
    /// - Returns: how many were accepted, and what became of the first that was not.
    func submit(
        count: Int, route: Int, kind: OperationKind, sink: Sink, deadline: NIODeadline,
        _ write: (Int, inout ByteBuffer) -> UInt64
    ) -> (accepted: Int, wake: Bool, refusal: Admission?) {
        state.withLock { state in
            guard !state.isShutDown else { return (0, false, .shutDown) }
            guard state.waiters.isEmpty else { return (0, false, .full) }
            var accepted = 0
            var refusal: Admission?
            while accepted < count, refusal == nil {
                guard state.openCount < state.countLimit else {
                    refusal = .full
                    break
                }
                let position = state.buildingPosition(route: route, kind: kind)
                refusal = state.fill(
                    position, sink: sink, kind: kind, deadline: deadline, from: &accepted, to: count, write)
            }
            return (accepted, accepted > 0 && state.wakeNeeded(), refusal)
        }
    }

    /// Submits an operation that is encoded as an item; it waits in order while there is no room.
    func submitOrWait(_ waiter: Waiter) -> Admission {
        state.withLock { state in
            guard !state.isShutDown else { return .shutDown }
            guard waiter.item.readableBytes - waiter.kind.itemByteCount <= Limits.commandBytesMax else {
                return .tooLarge
            }
            if state.waiters.isEmpty, state.hasRoom(waiter.item.readableBytes) {
                state.admit(waiter)
            } else {
                state.waiters.append(waiter)
            }
            return .accepted(wake: state.wakeNeeded())
        }
    }

    /// Takes everything that was submitted since the last time.
    func take() -> Taken {
        state.withLock { state in
            state.wakePending = false
            var frames = state.closed
            state.closed = []
            for frame in state.building where !frame.items.isEmpty { frames.append(frame) }
            if let size = state.building.map(\.buffer.writerIndex).max() {
                state.capacity = min(Self.frameByteTarget, max(512, size.nextPowerOfTwo))
            }
            state.building = []
            let pipelines = state.newPipelines
            state.newPipelines = []
            return Taken(
                frames: frames, pipelines: pipelines, isIdle: state.openCount == 0 && state.waiters.isEmpty)
        }
    }

    /// Gives back the room of finished operations and lets in who waited first. Submissions do not wake the event loop
    /// until it has taken again, which the caller must do.
    func release(count: Int, bytes: Int) {
        state.withLock { state in
            state.openCount -= count
            state.openBytes -= bytes
            precondition(state.openCount >= 0 && state.openBytes >= 0, "more operations finished than were open")
            state.wakePending = true
            while let waiter = state.waiters.first, state.hasRoom(waiter.item.readableBytes) {
                state.waiters.removeFirst()
                state.admit(waiter)
            }
        }
    }

    /// Takes out the waiting operations that a condition holds for.
    func removeWaiters(where condition: (Waiter) -> Bool) -> [Waiter] {
        state.withLock { state in
            guard !state.waiters.isEmpty else { return [] }
            let removed = Array(state.waiters.filter(condition))
            if !removed.isEmpty { state.waiters.removeAll(where: condition) }
            return removed
        }
    }

    /// Refuses every submission from now on.
    func shutDown() { state.withLock { $0.isShutDown = true } }
}

extension SubmissionQueue.State {
    fileprivate init(countLimit: Int, byteLimit: Int) {
        self.countLimit = countLimit
        self.byteLimit = byteLimit
    }

    fileprivate func hasRoom(_ bytes: Int) -> Bool {
        openCount < countLimit && (openCount == 0 || openBytes + bytes <= byteLimit)
    }

    /// Why an operation of a length as an item can't be taken in now.
    fileprivate func refusal(_ length: Int, _ kind: OperationKind) -> SubmissionQueue.Admission? {
        if length - kind.itemByteCount > Limits.commandBytesMax { return .tooLarge }
        return hasRoom(length) ? nil : .full
    }

    /// Where the frame is that operations of a route and kind go to; makes it if there is none.
    fileprivate mutating func buildingPosition(route: Int, kind: OperationKind) -> Int {
        if let position = building.firstIndex(where: { $0.route == route && $0.kind == kind }) { return position }
        building.append(SubmittedFrame(route: route, kind: kind, capacity: capacity))
        return building.count - 1
    }

    fileprivate mutating func append(_ item: SubmittedItem, at position: Int) {
        openCount += 1
        openBytes += item.length
        building[position].items.append(item)
        if building[position].buffer.writerIndex >= SubmissionQueue.frameByteTarget {
            closed.append(building.remove(at: position))
        }
    }

    /// Writes items into one frame until it is full, one is refused or all are written.
    fileprivate mutating func fill(
        _ position: Int, sink: Sink, kind: OperationKind, deadline: NIODeadline, from next: inout Int, to end: Int,
        _ write: (Int, inout ByteBuffer) -> UInt64
    ) -> SubmissionQueue.Admission? {
        while next < end, openCount < countLimit {
            let offset = building[position].buffer.writerIndex
            let correlation = write(next, &building[position].buffer)
            let length = building[position].buffer.writerIndex - offset
            if let refusal = refusal(length, kind) {
                building[position].buffer.moveWriterIndex(to: offset)
                return refusal
            }
            openCount += 1
            openBytes += length
            building[position].items.append(
                SubmittedItem(
                    sink: sink, correlation: correlation, deadline: deadline, offset: offset, length: length))
            next += 1
            if building[position].buffer.writerIndex >= SubmissionQueue.frameByteTarget {
                closed.append(building.remove(at: position))
                return nil
            }
        }
        return nil
    }

    fileprivate mutating func admit(_ waiter: SubmissionQueue.Waiter) {
        let position = buildingPosition(route: waiter.route, kind: waiter.kind)
        let offset = building[position].buffer.writerIndex
        building[position].buffer.writeImmutableBuffer(waiter.item)
        append(
            SubmittedItem(
                sink: waiter.sink, correlation: waiter.correlation, deadline: waiter.deadline, offset: offset,
                length: waiter.item.readableBytes), at: position)
    }

    /// Whether the event loop must be woken; it is from now on.
    fileprivate mutating func wakeNeeded() -> Bool {
        defer { wakePending = true }
        return !wakePending
    }
}

extension Int {
    fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (bitWidth - (self - 1).leadingZeroBitCount) }
}
