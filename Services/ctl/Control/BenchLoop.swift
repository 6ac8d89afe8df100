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
        /// Correlations whose next operation is to be submitted.
        var ready: [UInt64] = []
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
        let pipeline = state.withLock { $0.work }.open(cluster) { [self] batch in receive(batch) }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            // On the event loop like everything later, so that the first operations share a frame.
            cluster.client.eventLoop.execute { [self] in
                state.withLock { state in
                    state.window = window
                    state.pipeline = pipeline
                    state.done = done
                    state.starts = Array(repeating: .distantFuture, count: inFlight)
                    state.ready = Array(0..<UInt64(inFlight))
                    state.submitReady(.now())
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
            let work = state.work
            work.review(batch) { correlation, error in state.complete(correlation, now, error) }
            state.submitReady(now)
            guard state.open == 0 else { return nil as CheckedContinuation<Void, Never>? }
            defer { state.done = nil }
            return state.done
        }
        done?.resume()
    }
}

extension BenchLoop.State {
    /// Submits the next operation for each that has ended, as far as there is room.
    fileprivate mutating func submitReady(_ now: NIODeadline) {
        guard let pipeline, !ready.isEmpty, now < window.upperBound else { return }
        do throws(FlotillaError) {
            let accepted = try work.submit(ready, to: pipeline)
            for correlation in ready.prefix(accepted) { starts[Int(correlation)] = now }
            open += accepted
            ready.removeFirst(accepted)
        } catch {
            note(error, now)
            ready.removeAll()
        }
    }

    /// Counts an operation that has ended within the window. Its latency counts if it began in the window too.
    fileprivate mutating func complete(_ correlation: UInt64, _ now: NIODeadline, _ error: FlotillaError?) {
        open -= 1
        let start = starts[Int(correlation)]
        if let error {
            note(error, now)
        } else if window.contains(now) {
            tally.completed += 1
            if window.contains(start) { tally.latencies.record(UInt64((now - start).nanoseconds / 1_000)) }
        }
        ready.append(correlation)
    }

    private mutating func note(_ error: FlotillaError, _ now: NIODeadline) {
        tally.lastError = error
        if window.contains(now) { tally.errors += 1 }
    }
}
