import FlotillaWire
import NIOCore

/// What became of one operation of a pipeline, in the machine's encoding.
@usableFromInline
struct RawNotification {
    @usableFromInline var correlation: UInt64
    @usableFromInline var isAnswer: Bool
    @usableFromInline var outcome: Result<(reply: ByteBuffer, index: LogIndex), FlotillaError>

    init(
        correlation: UInt64, isAnswer: Bool, outcome: Result<(reply: ByteBuffer, index: LogIndex), FlotillaError>
    ) {
        self.correlation = correlation
        self.isAnswer = isAnswer
        self.outcome = outcome
    }
}

/// A pipeline as the event loop knows it: collects what a turn brings and hands it over in one piece.
final class PipelineRecord {
    typealias Deliver = @Sendable ([RawNotification]) -> Void

    let number: Int
    private let deliver: Deliver
    private var collected: [RawNotification] = []

    init(number: Int, deliver: @escaping Deliver) {
        self.number = number
        self.deliver = deliver
    }

    /// Adds a notification.
    ///
    /// - Returns: whether it is the first since the last delivery.
    func collect(_ notification: RawNotification) -> Bool {
        collected.append(notification)
        return collected.count == 1
    }

    /// Hands over what was collected.
    func flush() {
        guard !collected.isEmpty else { return }
        let batch = collected
        collected.removeAll(keepingCapacity: true)
        deliver(batch)
    }
}
