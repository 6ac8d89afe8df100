import DequeModule
import FlotillaMachine
import FlotillaWire
import Synchronization

/// Counts what is open in an `AsyncPipeline`, makes submitters wait in order, and keeps notifications until they are
/// taken.
final class PipelineGate<Machine: StateMachine>: Sendable {
    typealias Batch = NotificationBatch<Machine>

    fileprivate struct Entrant {
        var ticket: UInt64
        var correlation: UInt64
        var bytes: Int
        var continuation: CheckedContinuation<Bool, Never>
    }

    fileprivate struct State {
        let countLimit: Int
        let byteLimit: Int
        var openBytes: [UInt64: Int] = [:]
        var totalBytes = 0
        var entrants = Deque<Entrant>()
        var nextTicket: UInt64 = 0
        var batches = Deque<Batch>()
        var taker: CheckedContinuation<Batch?, Never>?
        var isFinished = false
    }

    private let state: Mutex<State>

    init(countLimit: Int, byteLimit: Int) {
        state = Mutex(State(countLimit: countLimit, byteLimit: byteLimit))
    }

    /// Waits for room and takes it.
    func enter(_ correlation: UInt64, bytes: Int) async throws {
        try Task.checkCancellation()
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        let entered = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let admitted = state.withLock { state in
                    if state.entrants.isEmpty, state.hasRoom(bytes) {
                        state.take(correlation, bytes)
                        return true
                    }
                    state.entrants.append(
                        Entrant(ticket: ticket, correlation: correlation, bytes: bytes, continuation: continuation))
                    return false
                }
                if admitted { continuation.resume(returning: true) } else if Task.isCancelled { cancel(ticket) }
            }
        } onCancel: {
            cancel(ticket)
        }
        if !entered { throw CancellationError() }
    }

    /// Gives back the room of commands.
    func leave(_ correlations: [UInt64]) {
        let (admitted, taker) = state.withLock { state in
            for correlation in correlations {
                state.totalBytes -= state.openBytes.removeValue(forKey: correlation) ?? 0
            }
            var admitted: [CheckedContinuation<Bool, Never>] = []
            while let entrant = state.entrants.first, state.hasRoom(entrant.bytes) {
                state.entrants.removeFirst()
                state.take(entrant.correlation, entrant.bytes)
                admitted.append(entrant.continuation)
            }
            return (admitted, state.endedTaker())
        }
        for continuation in admitted { continuation.resume(returning: true) }
        taker?.resume(returning: nil)
    }

    /// Keeps a batch until it is taken.
    func arrived(_ batch: Batch) {
        let taker = state.withLock { state -> CheckedContinuation<Batch?, Never>? in
            guard let taker = state.taker else {
                state.batches.append(batch)
                return nil
            }
            state.taker = nil
            return taker
        }
        guard let taker else { return }
        leave(batch.commands.map(\.correlation))
        taker.resume(returning: batch)
    }

    /// Ends the sequence once nothing is open.
    func finish() {
        let taker = state.withLock { state in
            state.isFinished = true
            return state.endedTaker()
        }
        taker?.resume(returning: nil)
    }

    /// The next batch, or `nil` at the end.
    func next() async -> Batch? {
        let batch = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Batch?, Never>) in
                let ready: Batch?? = state.withLock { state in
                    if let batch = state.batches.popFirst() { return .some(.some(batch)) }
                    precondition(state.taker == nil, "two tasks take the notifications of one pipeline")
                    if Task.isCancelled || state.isOver { return .some(.none) }
                    state.taker = continuation
                    return .none
                }
                if let ready {
                    if let ready { leave(ready.commands.map(\.correlation)) }
                    continuation.resume(returning: ready)
                }
            }
        } onCancel: {
            let taker = state.withLock { state in
                defer { state.taker = nil }
                return state.taker
            }
            taker?.resume(returning: nil)
        }
        return batch
    }

    private func cancel(_ ticket: UInt64) {
        let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard let position = state.entrants.firstIndex(where: { $0.ticket == ticket }) else { return nil }
            return state.entrants.remove(at: position).continuation
        }
        continuation?.resume(returning: false)
    }
}

extension PipelineGate.State {
    fileprivate init(countLimit: Int, byteLimit: Int) {
        self.countLimit = countLimit
        self.byteLimit = byteLimit
    }

    fileprivate func hasRoom(_ bytes: Int) -> Bool {
        openBytes.isEmpty || (openBytes.count < countLimit && totalBytes + bytes <= byteLimit)
    }

    fileprivate mutating func take(_ correlation: UInt64, _ bytes: Int) {
        precondition(openBytes[correlation] == nil, "correlation \(correlation) is open already")
        openBytes[correlation] = bytes
        totalBytes += bytes
    }

    fileprivate var isOver: Bool { isFinished && openBytes.isEmpty && entrants.isEmpty && batches.isEmpty }

    /// Who waits for a batch that will never come.
    fileprivate mutating func endedTaker() -> CheckedContinuation<NotificationBatch<Machine>?, Never>? {
        guard isOver else { return nil }
        defer { taker = nil }
        return taker
    }
}
