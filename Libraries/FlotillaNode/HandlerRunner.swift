import FlotillaMachine
import Logging

/// What a node does when a machine wants a handler called (`Effects.call`).
///
/// It runs apart from the servers, one call of a handler after the other in the order in which the machines wanted them.
/// What it throws is noted, and nothing else. A call is lost when its node ends before.
public typealias MachineHandler = @Sendable (HandlerCall) async throws -> Void

/// Calls the handlers of a node.
final class HandlerRunner: Sendable {
    /// How many calls of a handler may wait. More are dropped, and noted.
    private static let waitingMax = 65_536

    private let inboxes: [String: AsyncStream<HandlerCall>.Continuation]
    private let tasks: [Task<Void, Never>]
    private let logger: Logger

    init(_ handlers: [String: MachineHandler], logger: Logger) {
        var inboxes: [String: AsyncStream<HandlerCall>.Continuation] = [:]
        var tasks: [Task<Void, Never>] = []
        for (name, handler) in handlers {
            let (calls, inbox) = AsyncStream.makeStream(
                of: HandlerCall.self, bufferingPolicy: .bufferingOldest(Self.waitingMax))
            inboxes[name] = inbox
            tasks.append(
                Task {
                    for await call in calls {
                        do { try await handler(call) } catch {
                            logger.warning("handler '\(name)' failed for \(call.server): \(error)")
                        }
                    }
                })
        }
        self.inboxes = inboxes
        self.tasks = tasks
        self.logger = logger
    }

    /// Has a handler called, without waiting.
    func run(_ call: HandlerCall) {
        guard let inbox = inboxes[call.handler] else {
            return logger.warning("\(call.server) wants handler '\(call.handler)' called, which is not registered")
        }
        if case .dropped = inbox.yield(call) {
            logger.warning("a call of handler '\(call.handler)' by \(call.server) is dropped: too many wait")
        }
    }

    /// Ends: calls that wait are dropped, and the one at work is cancelled and waited for.
    func stop() async {
        for inbox in inboxes.values { inbox.finish() }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}
