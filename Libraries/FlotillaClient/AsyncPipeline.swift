import DequeModule
import FlotillaMachine
import FlotillaWire
import NIOCore
import Synchronization

/// A pipeline for tasks: submitting suspends while too much is open, and the results are an asynchronous sequence of
/// batches.
///
/// A command counts as open until its notification has been taken from the sequence, so that nothing piles up.
/// Therefore one task must take notifications while another submits; a task that submits more than the bound without
/// anybody taking notifications waits forever, until it is cancelled.
public final class AsyncPipeline<Machine: StateMachine>: Sendable {
    private let gate: PipelineGate<Machine>
    private let pipeline: Pipeline<Machine>

    init(_ cluster: ClusterClient<Machine>, openCommands: Int, openBytes: Int, timeout: Duration?) {
        let gate = PipelineGate<Machine>(countLimit: openCommands, byteLimit: openBytes)
        self.gate = gate
        pipeline = Pipeline(cluster, timeout: timeout) { gate.arrived($0) }
    }

    /// Submits a command, waiting for room first.
    ///
    /// - Parameter correlation: the caller's own number, which the notification repeats; must differ from those of
    ///   the commands that are open.
    /// - Throws: `CancellationError` when the task is cancelled while it waits, `FlotillaError` with `tooLarge` or
    ///   `shuttingDown`. Nothing was submitted then.
    public func submit(_ command: Machine.Command, correlation: UInt64) async throws {
        var item = ByteBuffer()
        CommandItem.append(hasSession: pipeline.hasSession, into: &item) { command.encode(into: &$0) }
        try await gate.enter(correlation, bytes: item.readableBytes)
        do {
            try pipeline.submitOrWait(item, correlation: correlation)
        } catch {
            gate.leave([correlation])
            throw error
        }
    }

    /// Says that nothing more is submitted: the sequence ends after the last notification.
    public func finish() { gate.finish() }

    /// The notifications, in batches. There must be one taker only.
    public var notifications: Notifications { Notifications(gate: gate, pipeline: pipeline) }

    /// The notifications of a pipeline, in batches.
    public struct Notifications: AsyncSequence, Sendable {
        let gate: PipelineGate<Machine>
        /// Kept, so that what is open is notified.
        let pipeline: Pipeline<Machine>

        /// Takes batches.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let gate: PipelineGate<Machine>
            let pipeline: Pipeline<Machine>
            /// The next batch; `nil` after `finish()` when nothing is open any more, or when the task is cancelled.
            public mutating func next() async -> NotificationBatch<Machine>? { await gate.next() }
        }

        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(gate: gate, pipeline: pipeline) }
    }
}

extension ClusterClient {
    /// A pipeline whose notifications are an asynchronous sequence.
    ///
    /// - Parameters:
    ///   - openCommands: how many commands may be submitted and not taken back as notifications.
    ///   - openBytes: the same as bytes of commands; one command always may.
    ///   - timeout: bounds each command from its submission on; `nil` for the client's own.
    public func pipeline(
        openCommands: Int = 1_024, openBytes: Int = 8 << 20, timeout: Duration? = nil
    ) -> AsyncPipeline<Machine> {
        AsyncPipeline(self, openCommands: max(1, openCommands), openBytes: openBytes, timeout: timeout)
    }
}
