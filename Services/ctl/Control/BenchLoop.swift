import FlotillaClient
import FlotillaMachine
import FlotillaWire
import Histogram
import NIOCore
import Synchronization

/// One connection of a benchmark.
protocol BenchLane: Sendable {
    /// Keeps `inFlight` operations open until the window ends, and returns what was counted in it.
    func run(_ inFlight: Int, _ window: Range<NIODeadline>) async -> BenchTally
}

/// A closed loop: the handler of a pipeline submits the next operation for each that has ended, on the event loop.
final class BenchLoop<Work: BenchWork>: BenchLane {
    fileprivate struct State {
        var work: Work
        var window: Range<NIODeadline> = .distantFuture..<(.distantFuture)
        /// When each operation was submitted, by its correlation.
        var starts: [NIODeadline] = []
        var open = 0
        /// Correlations that could not be submitted for want of room.
        var stalled: [UInt64] = []
        var tally = BenchTally()
        var pipeline: Pipeline<Work.Machine>?
        var done: CheckedContinuation<Void, Never>?
    }

    private let cluster: ClusterClient<Work.Machine>
    private let state: Mutex<State>

    init(_ cluster: ClusterClient<Work.Machine>, _ work: Work) {
        self.cluster = cluster
        state = Mutex(State(work: work))
    }

    func run(_ inFlight: Int, _ window: Range<NIODeadline>) async -> BenchTally {
        let pipeline = cluster.pipeline { [self] batch in receive(batch) }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            // On the event loop like everything later, so that the first operations share a frame.
            cluster.client.eventLoop.execute { [self] in
                state.withLock { state in
                    state.window = window
                    state.pipeline = pipeline
                    state.done = done
                    state.starts = Array(repeating: .distantFuture, count: inFlight)
                    let now = NIODeadline.now()
                    for correlation in 0..<UInt64(inFlight) { state.submit(correlation, now) }
                }
            }
        }
        return state.withLock { state in
            state.pipeline = nil
            return state.tally
        }
    }

    private func receive(_ batch: NotificationBatch<Work.Machine>) {
        let now = NIODeadline.now()
        let done = state.withLock { state in
            for notification in batch.commands {
                switch notification.result {
                case .success(let applied):
                    state.complete(notification.correlation, now, state.work.refusal(applied.reply))
                case .failure(let error): state.complete(notification.correlation, now, error)
                }
            }
            for notification in batch.queries {
                switch notification.result {
                case .success(let answer):
                    state.complete(notification.correlation, now, state.work.refusal(answer))
                case .failure(let error): state.complete(notification.correlation, now, error)
                }
            }
            let stalled = state.stalled
            state.stalled = []
            if now < state.window.upperBound { for correlation in stalled { state.submit(correlation, now) } }
            guard state.open == 0 else { return nil as CheckedContinuation<Void, Never>? }
            defer { state.done = nil }
            return state.done
        }
        done?.resume()
    }
}

extension BenchLoop.State {
    fileprivate mutating func submit(_ correlation: UInt64, _ now: NIODeadline) {
        guard let pipeline else { return }
        starts[Int(correlation)] = now
        do throws(FlotillaError) {
            try work.submitNext(to: pipeline, correlation: correlation)
            open += 1
        } catch {
            if error.code == .busy { stalled.append(correlation) } else { note(error, now) }
        }
    }

    /// Counts an operation that has ended within the window and submits the next. Its latency counts if it began in the
    /// window too.
    fileprivate mutating func complete(_ correlation: UInt64, _ now: NIODeadline, _ error: FlotillaError?) {
        open -= 1
        let start = starts[Int(correlation)]
        if let error {
            note(error, now)
        } else if window.contains(now) {
            tally.completed += 1
            if window.contains(start) { tally.latencies.record(UInt64((now - start).nanoseconds / 1_000)) }
        }
        if now < window.upperBound { submit(correlation, now) }
    }

    private mutating func note(_ error: FlotillaError, _ now: NIODeadline) {
        tally.lastError = error
        if window.contains(now) { tally.errors += 1 }
    }
}
