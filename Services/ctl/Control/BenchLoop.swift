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

/// A closed loop: the handler of a pipeline submits the next operation for each that has ended, on the event loop. With
/// a pace a timer of the event loop does, as soon as an operation is due.
final class BenchLoop<Work: BenchWork>: BenchLane {
    fileprivate struct State {
        var work: Work
        /// When operations are due; at once for `nil`.
        var pace: BenchPace?
        var keepsSamples: Bool
        var window: Range<NIODeadline> = .distantFuture..<(.distantFuture)
        /// When each operation was submitted or, with a pace, due, by its correlation.
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

    init(_ cluster: ClusterClient<Work.Machine>, _ work: Work, pace: BenchPace?, keepsSamples: Bool) {
        self.cluster = cluster
        state = Mutex(State(work: work, pace: pace, keepsSamples: keepsSamples))
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
                    state.pace?.begin(at: .now())
                    state.submitReady(.now())
                }
                tick()
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
            return state.takeDone(now)
        }
        done?.resume()
    }

    /// Submits what has become due, again and again until the window ends.
    private func tick() {
        guard let next = state.withLock({ $0.pace?.next }) else { return }
        // What is due may have to wait for room; the event loop must not do nothing else meanwhile.
        cluster.client.eventLoop.scheduleTask(deadline: max(next, .now() + .microseconds(100))) { [self] in
            let now = NIODeadline.now()
            let isOver = state.withLock { $0.window.upperBound <= now }
            let done = state.withLock { state in
                state.submitReady(now)
                return state.takeDone(now)
            }
            done?.resume()
            if !isOver { tick() }
        }
    }
}

extension BenchLoop.State {
    /// Submits the next operation for each that has ended, as far as there is room.
    fileprivate mutating func submitReady(_ now: NIODeadline) {
        guard let pipeline, !ready.isEmpty, now < window.upperBound else { return }
        let next = ready.prefix(pace?.due(by: now) ?? ready.count)
        guard !next.isEmpty else { return }
        do throws(FlotillaError) {
            let accepted = try work.submit(Array(next), to: pipeline)
            for correlation in next.prefix(accepted) { starts[Int(correlation)] = pace?.take() ?? now }
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
            if window.contains(start) {
                let latency = UInt64((now - start).nanoseconds / 1_000)
                tally.latencies.record(latency)
                if keepsSamples { tally.samples.add(start, latency) }
            }
        }
        ready.append(correlation)
    }

    /// Whoever waits for the end, once there is nothing more to come.
    fileprivate mutating func takeDone(_ now: NIODeadline) -> CheckedContinuation<Void, Never>? {
        guard open == 0, pace == nil || window.upperBound <= now else { return nil }
        defer { done = nil }
        return done
    }

    private mutating func note(_ error: FlotillaError, _ now: NIODeadline) {
        tally.lastError = error
        if window.contains(now) { tally.errors += 1 }
    }
}
