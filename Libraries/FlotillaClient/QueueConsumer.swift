import DequeModule
import FlotillaMachines
import FlotillaWire
import NIOCore
import Synchronization

/// Takes the messages of a queue, one after the other.
///
/// ```swift
/// let consumer = try await jobs.consume(prefetch: 10)
/// for try await delivery in consumer {
///     try await work(on: delivery.body)
///     try await consumer.settle([delivery.id])
/// }
/// ```
///
/// What is not settled goes to others when the consumer stops, when its client is shut down, and when its session ends
/// because the client was cut off for too long. A message may therefore come to somebody who did not see the end of what
/// another did with it; `count` tells how often it was delivered. It is taken over changes of leaders and connections.
public struct QueueConsumer: AsyncSequence, Sendable {
    let queue: ClusterClient<Queue>
    let prefetch: UInt32
    let messages: SessionMessages<Queue>
    fileprivate let seen = Seen()

    /// Which deliveries were handed out: they may come twice when what was on its way is sent anew, also behind the answer
    /// that says that they are settled.
    fileprivate final class Seen: Sendable {
        /// How many messages are remembered: more than can be on their way at a time.
        private static let limit = 65_536

        private struct State {
            var counts: [UInt64: UInt32] = [:]
            var order = Deque<UInt64>()
        }

        private let state = Mutex(State())

        /// Whether a delivery is one that was not handed out before.
        func isNew(_ delivery: Queue.Delivery) -> Bool {
            state.withLock { state in
                guard (state.counts[delivery.id] ?? 0) < delivery.count else { return false }
                if state.counts[delivery.id] == nil { state.order.append(delivery.id) }
                state.counts[delivery.id] = delivery.count
                while state.order.count > Self.limit { state.counts[state.order.removeFirst()] = nil }
                return true
            }
        }

        func forgetAll() { state.withLock { $0 = State() } }
    }

    /// Hands out the deliveries. There must be one for each consumer only.
    public struct Iterator: AsyncIteratorProtocol {
        let consumer: QueueConsumer
        var messages: SessionMessages<Queue>.Iterator
        var waiting: ArraySlice<Queue.Delivery> = []

        /// The next delivery; `nil` when the client was shut down or the task is cancelled.
        ///
        /// - Throws: `FlotillaError` when the queue can't be told that the consumer is still there.
        public mutating func next() async throws -> Queue.Delivery? {
            while true {
                while let delivery = waiting.popFirst() {
                    if consumer.seen.isNew(delivery) { return delivery }
                }
                switch try await messages.next() {
                case .message(let deliveries, _): waiting = deliveries.list[...]
                case .interrupted: _ = try await consumer.queue.process(.resume)
                case .sessionChanged:
                    consumer.seen.forgetAll()
                    try await consumer.subscribe()
                case .applied: break
                case nil: return nil
                }
            }
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(consumer: self, messages: messages.makeAsyncIterator())
    }

    fileprivate func subscribe() async throws { _ = try await queue.process(.subscribe(prefetch: prefetch)) }

    /// Removes messages for good.
    ///
    /// - Returns: how many of them the consumer held, or nobody did.
    @discardableResult
    public func settle(_ ids: [UInt64]) async throws -> Int { try await tell(.settle(ids)) }

    /// Gives messages back, for others or for a later try.
    @discardableResult
    public func giveBack(_ ids: [UInt64]) async throws -> Int { try await tell(.giveBack(ids)) }

    /// Makes messages dead letters.
    @discardableResult
    public func reject(_ ids: [UInt64]) async throws -> Int { try await tell(.reject(ids)) }

    /// Consumes no more; what is held goes to others.
    public func stop() async throws { _ = try await queue.process(.unsubscribe) }

    private func tell(_ command: Queue.Command) async throws -> Int {
        guard case .done(let count) = try await queue.process(command).reply else {
            throw FlotillaError(.sessionExpired, "the queue does not know the consumer's session")
        }
        return count
    }
}

extension ClusterClient where Machine == Queue {
    /// Becomes a consumer of the queue. A client is one consumer of a queue at most: a second call only changes how many
    /// messages it may hold.
    ///
    /// - Parameters:
    ///   - prefetch: how many messages it may hold that are not settled, 1 to 4,096.
    ///   - timeout: bounds the call; `nil` for the client's own.
    public func consume(prefetch: UInt32, timeout: Duration? = nil) async throws -> QueueConsumer {
        let (_, messages) = try await messages(timeout: timeout)
        let consumer = QueueConsumer(queue: self, prefetch: prefetch, messages: messages)
        try await consumer.subscribe()
        return consumer
    }
}
