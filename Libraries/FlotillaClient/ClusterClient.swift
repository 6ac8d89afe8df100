import FlotillaMachine
import FlotillaWire
import NIOCore

/// What became of a command.
public struct CommandResult<Reply: Sendable>: Sendable {
    /// What the state machine replied.
    public var reply: Reply
    /// Where in the log the command stands.
    public var index: LogIndex
    /// The term of the leader that answered.
    public var term: Term
    /// The identity of that leader.
    public var server: ServerUID
    /// The name of that leader, if it is known.
    public var leader: ServerID?
}

extension CommandResult: Equatable where Reply: Equatable {}

/// A cluster as its clients see it: commands, queries and the members.
public struct ClusterClient<Machine: StateMachine>: Sendable {
    /// The client whose connections are used.
    public let client: FlotillaClient
    /// The cluster's name.
    public let name: ClusterName
    let route: Int

    /// Begins the client's session with the cluster, which the first command does otherwise. Does nothing where there
    /// is one, or the client is configured to have none.
    ///
    /// - Parameter timeout: bounds the whole call; `nil` for the client's own.
    /// - Throws: `FlotillaError` with `busy` when the cluster has as many sessions as it may have until the deadline,
    ///   and what else keeps a command from being sent.
    public func openSession(timeout: Duration? = nil) async throws(FlotillaError) {
        let deadline = client.deadline(timeout)
        let name = name
        try await client.onLoop { core, complete in
            core.waitForSession(of: name, deadline: deadline, complete: complete)
        }
    }

    /// Has the cluster apply a command, and waits for the reply.
    ///
    /// The command finds the leader by itself. It is sent again until an answer comes, over failures of connections and
    /// of leaders, and takes effect once (Ongaro 2014, section 6.3), unless `ClientConfiguration.exactlyOnce` is unset.
    /// The call waits in order while as many commands are open as the configuration allows.
    ///
    /// - Parameter timeout: bounds the whole call; `nil` for the client's own.
    /// - Throws: `FlotillaError`: `outcomeUnknown` when the deadline passed, or the session ended, and the command may
    ///   be applied or not; `replyGone` when it was applied and its reply is not known any more, which is kept for
    ///   64 KiB of open commands; `noLeader`, `unreachable`, `busy` or `timeout` when the deadline passed and nothing
    ///   was appended; what the cluster said otherwise.
    ///   `CancellationError` when the task was cancelled before the command was sent; after that, `outcomeUnknown`.
    public func process(
        _ command: Machine.Command, timeout: Duration? = nil
    ) async throws -> CommandResult<Machine.Reply> {
        var item = ByteBuffer()
        CommandItem.append(hasSession: client.configuration.exactlyOnce, into: &item) { command.encode(into: &$0) }
        let raw = try await submit(item, .command, timeout)
        return CommandResult(
            reply: try decode(raw.reply, as: Machine.Reply.self, what: "the command was applied, but its reply"),
            index: raw.index, term: raw.term, server: raw.server, leader: raw.leader)
    }

    /// Asks the state machine something.
    ///
    /// - Parameters:
    ///   - consistency: how fresh the answer must be.
    ///   - timeout: bounds the whole call; `nil` for the client's own.
    /// - Throws: `FlotillaError`; a query changes nothing and is asked again until the deadline.
    public func query(
        _ query: Machine.Query, consistency: QueryConsistency = .consistent, timeout: Duration? = nil
    ) async throws -> Machine.Answer {
        var item = ByteBuffer()
        QueryBatch.append(correlation: 0, into: &item) { query.encode(into: &$0) }
        let raw = try await submit(item, OperationKind(consistency), timeout)
        return try decode(raw.reply, as: Machine.Answer.self, what: "the answer")
    }

    private func submit(_ item: ByteBuffer, _ kind: OperationKind, _ timeout: Duration?) async throws -> RawResult {
        try Task.checkCancellation()
        let ticket = client.submissions.nextNumber()
        let deadline = client.deadline(timeout)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                submit(
                    SubmissionQueue.Waiter(
                        route: route, kind: kind, item: item, sink: .caller(Caller(continuation)), correlation: ticket,
                        deadline: deadline),
                    continuation)
                // The handler below may have run before the operation was there to be found.
                if Task.isCancelled { client.cancel(ticket) }
            }
        } onCancel: {
            client.cancel(ticket)
        }
        return try result.get()
    }

    private func submit(
        _ waiter: SubmissionQueue.Waiter, _ continuation: CheckedContinuation<Result<RawResult, any Error>, Never>
    ) {
        let admission = client.submissions.submitOrWait(waiter)
        if case .accepted(let wake) = admission {
            if wake { client.wake() }
        } else {
            continuation.resume(returning: .failure(admission.refusal))
        }
    }
}

/// Reads a reply or an answer, naming it in the error.
@inlinable
func decode<Value: WireCodable>(
    _ bytes: ByteBuffer, as type: Value.Type, what: StaticString
) throws(FlotillaError) -> Value {
    var reader = WireReader(bytes)
    do { return try Value(from: &reader) } catch {
        throw FlotillaError(.malformed, "\(what) can't be read as \(type): \(error)")
    }
}

extension SubmissionQueue.Admission {
    /// The error for a submission that was not accepted.
    var refusal: FlotillaError {
        switch self {
        case .accepted, .full: FlotillaError(.busy, "as many commands are open as the client's bounds allow")
        case .tooLarge: FlotillaError(.tooLarge, "a command or a query has more than \(Limits.commandBytesMax) bytes")
        case .shutDown: FlotillaError(.shuttingDown, "the client was shut down")
        }
    }
}

extension FlotillaClient {
    /// Ends an operation because its task was cancelled.
    func cancel(_ ticket: UInt64) {
        eventLoop.execute { [core] in core.value.cancel(ticket) }
    }
}
