import FlotillaWire
import NIOCore
import NIOPosix
import Synchronization

/// What a client sent.
public enum Received: Sendable {
    case hello
    /// The bodies with their prefixes.
    case commands(target: ServerUID, items: [Item])
    case queries(target: ServerUID, consistency: QueryConsistency, items: [Item])
    case request(ClientRequest)

    /// A command or a query.
    public struct Item: Sendable, Equatable {
        public var correlation: UInt64
        public var body: ByteBuffer

        /// The machine's own bytes of a command.
        public var payload: ByteBuffer {
            var payload = body
            payload.moveReaderIndex(forwardBy: body.withUnsafeReadableBytes { CommandPrefix.length(in: $0) } ?? 0)
            return payload
        }

        /// The place of a command in a session.
        public var session: CommandPrefix.Session? { CommandPrefix.session(in: body) }
    }

    /// The commands in it.
    public var commands: [Item] {
        if case .commands(_, let items) = self { items } else { [] }
    }
}

/// What the node does about something that it received.
public enum Reaction: Sendable {
    /// Bytes as they are.
    case bytes(ByteBuffer)
    /// An answer to the request at hand.
    case respond(ClientResponse)
    /// An answer to the request at hand, that the test lets go later by `TestNode.release()`.
    case hold(ClientResponse)
    /// Closes the connection.
    case close
}

/// A node that speaks the protocol and does what a test's script says.
public final class TestNode: Sendable {
    /// Decides on the reactions; runs on the node's event loop, one call at a time.
    public typealias Script = @Sendable (Received) -> [Reaction]

    struct State: Sendable {
        var script: Script
        var received: [Received] = []
        var connections: [ObjectIdentifier: any Channel] = [:]
        var held: [@Sendable () -> Void] = []
        var isReleased = false
        var waiters: [(condition: @Sendable ([Received]) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    /// Its name.
    public let name: NodeName
    /// Where it listens.
    public let address: NodeAddress
    let state: Mutex<State>
    private let server: any Channel

    private init(name: NodeName, server: any Channel, box: StateBox) throws {
        self.name = name
        self.server = server
        address = NodeAddress(host: "127.0.0.1", port: UInt16(server.localAddress?.port ?? 0))
        state = Mutex(State(script: { _ in [] }))
        box.node.withLock { $0 = self }
    }

    /// The way from a connection's handler to the node, which is made after the port is known.
    final class StateBox: Sendable {
        let node = Mutex<TestNode?>(nil)
    }

    /// Starts a node on a free port.
    public static func start(_ name: String, port: UInt16 = 0, script: Script? = nil) async throws -> TestNode {
        let box = StateBox()
        let nodeName = try NodeName(name)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TestNodeHandler(box: box))
                }
            }
            .bind(host: "127.0.0.1", port: Int(port)).get()
        let node = try TestNode(name: nodeName, server: server, box: box)
        if let script { node.follow(script) }
        return node
    }

    /// Follows another script from now on.
    public func follow(_ script: @escaping Script) { state.withLock { $0.script = script } }

    /// Everything that was received so far.
    public var received: [Received] { state.withLock { $0.received } }

    /// All commands that were received so far, in order.
    public var commands: [Received.Item] { received.flatMap(\.commands) }

    /// How many connections are open.
    public var connectionCount: Int { state.withLock { $0.connections.count } }

    /// Waits until what was received fulfils a condition.
    public func wait(until condition: @escaping @Sendable ([Received]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if condition(state.received) { return true }
                state.waiters.append((condition, continuation))
                return false
            }
            if done { continuation.resume() }
        }
    }

    /// Lets go of the answers that were held, and holds none from now on.
    public func release() {
        let held = state.withLock { state in
            state.isReleased = true
            defer { state.held = [] }
            return state.held
        }
        for action in held { action() }
    }

    /// Sends bytes over every connection.
    public func broadcast(_ bytes: ByteBuffer) {
        for channel in state.withLock({ Array($0.connections.values) }) { channel.writeAndFlush(bytes, promise: nil) }
    }

    /// Closes every connection; new ones are still accepted.
    public func dropConnections() {
        for channel in state.withLock({ Array($0.connections.values) }) { channel.close(promise: nil) }
    }

    /// Stops listening and closes every connection.
    public func stop() async {
        try? await server.close().get()
        dropConnections()
    }

    /// Keeps an answer until it is let go.
    func hold(_ action: @escaping @Sendable () -> Void) {
        let now = state.withLock { state in
            if !state.isReleased { state.held.append(action) }
            return state.isReleased
        }
        if now { action() }
    }

    /// Notes what was received and asks the script.
    func react(to received: Received) -> [Reaction] {
        let (script, ready) = state.withLock { state in
            state.received.append(received)
            let all = state.received
            let ready = state.waiters.filter { $0.condition(all) }.map(\.continuation)
            state.waiters.removeAll { $0.condition(all) }
            return (state.script, ready)
        }
        let reactions = script(received)
        for continuation in ready { continuation.resume() }
        return reactions
    }
}
