import FlotillaMachine
import FlotillaWire
import NIOCore

/// A connection to a group of nodes and to the clusters on them.
///
/// ```swift
/// let client = try await FlotillaClient.connect(to: [NodeAddress("127.0.0.1:7401")])
/// let store = try client.cluster(ClusterName("kv"), of: KeyValue.self)
/// let result = try await store.process(.put(key, value, ifIndex: nil))
/// await client.shutdown()
/// ```
///
/// All that it does happens on one event loop; operations that are submitted at about the same time share frames. Each
/// command has its place in a session with its cluster and takes effect once, so the client sends it again after a
/// failure, until its deadline; one of which nothing is known then ends with `outcomeUnknown`.
///
/// Call `shutdown()` before you let go of a client: its connections live until then.
public final class FlotillaClient: Sendable {
    /// How the client behaves.
    public let configuration: ClientConfiguration
    /// Where everything of the client happens; handlers of pipelines are called on it.
    public let eventLoop: any EventLoop
    let submissions: SubmissionQueue
    let core: NIOLoopBound<ClientCore>

    private init(configuration: ClientConfiguration, submissions: SubmissionQueue, core: NIOLoopBound<ClientCore>) {
        self.configuration = configuration
        self.submissions = submissions
        self.core = core
        eventLoop = core.eventLoop
    }

    /// Makes a client and connects it.
    ///
    /// - Parameter endpoints: any nodes of the group; the client finds the others through them.
    /// - Throws: `FlotillaError` with `unreachable` when none of them welcomes the client within the configured
    ///   timeout, and `invalidArgument` for settings that make no sense.
    public static func connect(
        to endpoints: [NodeAddress], configuration: ClientConfiguration = ClientConfiguration()
    ) async throws(FlotillaError) -> FlotillaClient {
        try configuration.check()
        guard !endpoints.isEmpty else { throw FlotillaError(.invalidArgument, "no endpoint was given") }
        let loop = configuration.eventLoopGroup.next()
        let submissions = SubmissionQueue(
            countLimit: configuration.openCommands, byteLimit: configuration.openCommandBytes)
        var known: Set<NodeAddress> = []
        let addresses = endpoints.filter { known.insert($0).inserted }
        let core = await withCheckedContinuation {
            (continuation: CheckedContinuation<NIOLoopBound<ClientCore>, Never>) in
            loop.execute {
                let core = ClientCore(
                    configuration: configuration, endpoints: addresses, submissions: submissions, eventLoop: loop)
                continuation.resume(returning: NIOLoopBound(core, eventLoop: loop))
            }
        }
        let client = FlotillaClient(configuration: configuration, submissions: submissions, core: core)
        let deadline = client.deadline(nil)
        do {
            try await client.onLoop { core, complete in core.waitUntilReachable(deadline: deadline, complete: complete)
            }
        } catch {
            await client.shutdown()
            throw error
        }
        return client
    }

    /// Closes all connections. Commands that are open end with `outcomeUnknown` if they were sent, everything else
    /// with `shuttingDown`.
    public func shutdown() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            eventLoop.execute { [core] in
                core.value.shutDown()
                continuation.resume()
            }
        }
    }

    /// A cluster and the type of its state machine, which the caller must know.
    public func cluster<Machine: StateMachine>(
        _ name: ClusterName, of machine: Machine.Type = Machine.self
    ) -> ClusterClient<Machine> {
        ClusterClient(client: self, name: name, route: submissions.route(RouteKey(cluster: name, lane: 0)))
    }

    /// What the client has counted since it was made.
    public func counters() async -> ClientCounters {
        await withCheckedContinuation { continuation in
            eventLoop.execute { [core] in continuation.resume(returning: core.value.counters) }
        }
    }

    /// When a call that starts now must end.
    func deadline(_ timeout: Duration?) -> NIODeadline {
        .now() + (timeout ?? configuration.timeout).timeAmount
    }

    /// Wakes the event loop for what was submitted.
    func wake() {
        eventLoop.execute { [core] in core.value.drain() }
    }

    /// Runs something on the event loop that calls back once.
    func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (ClientCore, @escaping (Result<Value, FlotillaError>) -> Void) -> Void
    ) async throws(FlotillaError) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, FlotillaError>, Never>) in
            eventLoop.execute { [core] in body(core.value) { continuation.resume(returning: $0) } }
        }
        return try result.get()
    }
}
