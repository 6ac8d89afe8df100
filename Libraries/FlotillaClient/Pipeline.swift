import FlotillaMachine
import FlotillaWire
import NIOCore

/// What became of the commands and queries of a pipeline, as one turn of the event loop brought it.
public struct NotificationBatch<Machine: StateMachine>: Sendable {
    /// A command that was applied.
    public struct Applied: Sendable {
        /// What the state machine replied.
        public var reply: Machine.Reply
        /// Where in the log the command stands.
        public var index: LogIndex

        @inlinable
        init(reply: Machine.Reply, index: LogIndex) {
            self.reply = reply
            self.index = index
        }
    }

    /// What became of one command.
    public struct CommandNotification: Sendable {
        /// The number that the command was submitted with.
        public var correlation: UInt64
        /// The reply, or why there is none; `outcomeUnknown` when the command may be applied or not.
        public var result: Result<Applied, FlotillaError>
    }

    /// What became of one query.
    public struct QueryNotification: Sendable {
        /// The number that the query was submitted with.
        public var correlation: UInt64
        /// The answer, or why there is none.
        public var result: Result<Machine.Answer, FlotillaError>
    }

    /// The commands, in the order in which they were applied as far as they go over one connection.
    public var commands: [CommandNotification] = []
    /// The queries.
    public var queries: [QueryNotification] = []

    @inlinable
    init(_ raw: [RawNotification]) {
        commands.reserveCapacity(raw.count)
        for notification in raw {
            if notification.isAnswer {
                queries.append(QueryNotification(notification))
            } else {
                commands.append(CommandNotification(notification))
            }
        }
    }
}

extension NotificationBatch.CommandNotification {
    @inlinable
    init(_ raw: RawNotification) {
        correlation = raw.correlation
        do throws(FlotillaError) {
            let (bytes, index) = try raw.outcome.get()
            let reply = try decode(
                bytes, as: Machine.Reply.self, what: "the command was applied, but its reply")
            result = .success(NotificationBatch.Applied(reply: reply, index: index))
        } catch {
            result = .failure(error)
        }
    }
}

extension NotificationBatch.QueryNotification {
    @inlinable
    init(_ raw: RawNotification) {
        correlation = raw.correlation
        do throws(FlotillaError) {
            result = .success(try decode(raw.outcome.get().reply, as: Machine.Answer.self, what: "the answer"))
        } catch {
            result = .failure(error)
        }
    }
}

/// A stream of commands whose results come back in batches: the fast way.
///
/// Commands are sent in the order in which they are submitted. One that is sent again, since it was refused or no answer
/// came, may be applied after later ones. Submitting never suspends; it may be done from any thread, and inside the
/// handler without a hop. Every operation that was accepted is notified exactly once.
public final class Pipeline<Machine: StateMachine>: Sendable {
    private let client: FlotillaClient
    private let route: Int
    private let number: Int
    private let timeout: TimeAmount
    /// Whether its commands belong to a session.
    @usableFromInline let hasSession: Bool

    @usableFromInline
    init(
        _ client: FlotillaClient, _ cluster: ClusterName, timeout: Duration?,
        deliver: @escaping @Sendable ([RawNotification]) -> Void
    ) {
        self.client = client
        hasSession = client.configuration.exactlyOnce
        self.timeout = (timeout ?? client.configuration.timeout).timeAmount
        number = Int(truncatingIfNeeded: client.submissions.nextNumber())
        // Pipelines of one client spread over its connections; one pipeline stays on one, to keep its order.
        let lane = number % client.configuration.connectionsPerNode
        route = client.submissions.route(RouteKey(cluster: cluster, lane: lane))
        client.submissions.register(pipeline: number, deliver: deliver)
    }

    @inlinable
    convenience init(
        _ cluster: ClusterClient<Machine>, timeout: Duration?,
        onNotifications: @escaping @Sendable (NotificationBatch<Machine>) -> Void
    ) {
        self.init(cluster.client, cluster.name, timeout: timeout) { onNotifications(NotificationBatch($0)) }
    }

    deinit {
        client.eventLoop.execute { [core = client.core, number] in core.value.forget(pipeline: number) }
    }

    /// Submits a command.
    ///
    /// - Parameter correlation: the caller's own number, which the notification repeats.
    /// - Throws: `FlotillaError`: `busy` when as many commands are open as the client's bounds allow, `tooLarge`, or
    ///   `shuttingDown`. Nothing was submitted then.
    @inlinable
    public func submit(_ command: Machine.Command, correlation: UInt64) throws(FlotillaError) {
        try submit(.command, correlation) { buffer in
            CommandItem.append(hasSession: hasSession, into: &buffer) { command.encode(into: &$0) }
        }
    }

    /// Submits commands in order, as many as the client's bounds allow.
    ///
    /// - Returns: how many were accepted; the rest may be submitted again once notifications have come.
    /// - Throws: `FlotillaError` with `tooLarge` or `shuttingDown` when the first command was refused for that.
    @inlinable
    public func submit(
        contentsOf commands: some RandomAccessCollection<(command: Machine.Command, correlation: UInt64)>
    ) throws(FlotillaError) -> Int {
        var position = commands.startIndex
        return try submit(count: commands.count, .command) { _, buffer in
            let (command, correlation) = commands[position]
            commands.formIndex(after: &position)
            CommandItem.append(hasSession: hasSession, into: &buffer) { command.encode(into: &$0) }
            return correlation
        }
    }

    /// Submits queries in order, as many as the client's bounds allow; otherwise as `submit(contentsOf:)`.
    @inlinable
    public func submit(
        contentsOf queries: some RandomAccessCollection<(query: Machine.Query, correlation: UInt64)>,
        consistency: QueryConsistency = .consistent
    ) throws(FlotillaError) -> Int {
        var position = queries.startIndex
        return try submit(count: queries.count, OperationKind(consistency)) { _, buffer in
            let (query, correlation) = queries[position]
            queries.formIndex(after: &position)
            QueryBatch.append(correlation: 0, into: &buffer) { query.encode(into: &$0) }
            return correlation
        }
    }

    /// Submits a query; its notification stands among the `queries` of a batch. Queries are not ordered with commands.
    ///
    /// - Throws: as `submit(_:correlation:)`.
    @inlinable
    public func submit(
        query: Machine.Query, consistency: QueryConsistency = .consistent, correlation: UInt64
    ) throws(FlotillaError) {
        try submit(OperationKind(consistency), correlation) { buffer in
            QueryBatch.append(correlation: 0, into: &buffer) { query.encode(into: &$0) }
        }
    }

    @usableFromInline
    func submit(
        _ kind: OperationKind, _ correlation: UInt64, _ write: (inout ByteBuffer) -> Void
    ) throws(FlotillaError) {
        let admission = client.submissions.submit(
            route: route, kind: kind, sink: .pipeline(number), correlation: correlation, deadline: .now() + timeout,
            write)
        guard case .accepted(let wake) = admission else { throw admission.refusal }
        if wake { client.wake() }
    }

    @usableFromInline
    func submit(
        count: Int, _ kind: OperationKind, _ write: (Int, inout ByteBuffer) -> UInt64
    ) throws(FlotillaError) -> Int {
        let (accepted, wake, refusal) = client.submissions.submit(
            count: count, route: route, kind: kind, sink: .pipeline(number), deadline: .now() + timeout, write)
        if wake { client.wake() }
        if let refusal, accepted == 0, refusal.refusal.code != .busy { throw refusal.refusal }
        return accepted
    }

    /// Submits a command that waits in order while there is no room.
    func submitOrWait(_ item: ByteBuffer, correlation: UInt64) throws(FlotillaError) {
        let admission = client.submissions.submitOrWait(
            SubmissionQueue.Waiter(
                route: route, kind: .command, item: item, sink: .pipeline(number), correlation: correlation,
                deadline: .now() + timeout))
        guard case .accepted(let wake) = admission else { throw admission.refusal }
        if wake { client.wake() }
    }
}

extension ClusterClient {
    /// A pipeline whose notifications a handler gets, on the client's event loop: the way with the least cost.
    ///
    /// - Parameters:
    ///   - timeout: bounds each operation from its submission on; `nil` for the client's own.
    ///   - onNotifications: must not block. It may submit to the pipeline again.
    @inlinable
    public func pipeline(
        timeout: Duration? = nil, onNotifications: @escaping @Sendable (NotificationBatch<Machine>) -> Void
    ) -> Pipeline<Machine> {
        Pipeline(self, timeout: timeout, onNotifications: onNotifications)
    }
}
