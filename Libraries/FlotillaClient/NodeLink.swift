import FlotillaWire
import NIOCore

/// A request that waits for its answer.
struct PendingRequest {
    var request: ClientRequest
    var deadline: NIODeadline
    var complete: (Result<ClientResponse, FlotillaError>) -> Void
}

/// Which connection to which node.
struct LinkKey: Hashable {
    var address: NodeAddress
    var lane: Int
}

/// The way to a node: a connection that is made again after it was lost. Confined to the client's event loop.
final class NodeLink {
    /// How far the connection is.
    enum State {
        /// Nothing is under way.
        case idle
        /// Connected or connecting, not welcomed yet.
        case connecting(NodeConnection)
        case ready(NodeConnection)
        /// The next attempt comes by itself.
        case pausing(Scheduled<Void>)
        /// For good.
        case closed
    }

    let key: LinkKey
    var state = State.idle
    var backOff: BackOff
    /// Requests that wait for the connection.
    var waiting: [PendingRequest] = []
    /// Why the last attempt failed; `nil` before the first failure and while it is ready.
    var lastError: FlotillaError?

    init(key: LinkKey, backOff: BackOff) {
        self.key = key
        self.backOff = backOff
    }

    /// The connection, once it is welcomed.
    var connection: NodeConnection? {
        if case .ready(let connection) = state { connection } else { nil }
    }

    /// Who is at the other end, while connected.
    var node: Hello.Node? { connection?.node }
}
