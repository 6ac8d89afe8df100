import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Synchronization

/// Which records of an import are on their way, and what became of the others.
final class ImportLedger: Sendable {
    /// How far an import is.
    struct Counts: Sendable, Equatable {
        var read = 0
        var acknowledged = 0
        /// Puts that were sent again because their outcome was unknown.
        var repeated = 0
        var refused = 0
    }

    fileprivate struct State {
        var counts = Counts()
        var open: [UInt64: TSVRecord] = [:]
        /// Keys that are on their way, with who waits to put the same key again.
        var keys: [[UInt8]: [CheckedContinuation<Void, Never>]] = [:]
        var isReadToEnd = false
        var failure: ControlFailure?
    }

    private let state = Mutex(State())

    var counts: Counts { state.withLock { $0.counts } }
    /// Why the import can't go on.
    var failure: ControlFailure? { state.withLock { $0.failure } }

    /// Notes a record that is to be put. Waits while an earlier put of the same key is on its way, since that may be
    /// repeated.
    func begin(_ record: TSVRecord) async -> UInt64 {
        while true {
            let correlation = state.withLock { state -> UInt64? in
                guard state.keys[record.key] == nil else { return nil }
                state.keys[record.key] = []
                state.counts.read += 1
                let correlation = UInt64(state.counts.read)
                state.open[correlation] = record
                return correlation
            }
            if let correlation { return correlation }
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    guard state.keys[record.key] != nil else { return true }
                    state.keys[record.key]?.append(continuation)
                    return false
                }
                if isFree { continuation.resume() }
            }
        }
    }

    /// The record of an open put.
    func record(_ correlation: UInt64) -> TSVRecord? { state.withLock { $0.open[correlation] } }

    /// Takes note of what became of a put.
    ///
    /// - Returns: whether it is to be put again.
    func note(
        _ correlation: UInt64, _ result: Result<NotificationBatch<KeyValue>.Applied, FlotillaError>
    ) -> Bool {
        let (again, waiting) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
            guard let record = state.open[correlation] else { return (false, []) }
            switch result {
            case .success(let applied):
                state.note(applied.reply, of: record)
            case .failure(let error) where error.code == .outcomeUnknown && state.failure == nil:
                state.counts.repeated += 1
                return (true, [])
            case .failure(let error):
                if state.failure == nil { state.failure = ControlFailure(error) }
            }
            state.open[correlation] = nil
            return (false, state.keys.removeValue(forKey: record.key) ?? [])
        }
        for continuation in waiting { continuation.resume() }
        return again
    }

    /// Stops the import for a reason; the first one counts.
    func fail(_ failure: ControlFailure) { state.withLock { $0.failure = $0.failure ?? failure } }

    /// Says that nothing more is read.
    func endOfFile() { state.withLock { $0.isReadToEnd = true } }

    /// Whether everything that was read has its end.
    var isDone: Bool { state.withLock { $0.isReadToEnd && $0.open.isEmpty } }
}

extension ImportLedger.State {
    fileprivate mutating func note(_ reply: KeyValue.Reply, of record: TSVRecord) {
        switch reply {
        case .stored: counts.acknowledged += 1
        case .refused(let reason):
            counts.refused += 1
            failure = failure ?? ControlFailure(ControlFailure.refused, "line \(record.line): \(reason)")
        case .conflict, .deleted, .notFound:
            counts.refused += 1
            failure = failure ?? ControlFailure(ControlFailure.refused, "line \(record.line): not stored")
        }
    }
}
