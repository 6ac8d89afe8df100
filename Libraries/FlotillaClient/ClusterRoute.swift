import DequeModule
import FlotillaWire
import NIOCore

/// A server that can be asked.
struct Target: Equatable {
    var uid: ServerUID
    /// Its name; `nil` when only its identity is known.
    var id: ServerID?
    var address: NodeAddress
}

/// Frames of one kind that go to one server over one connection.
struct FrameQueue {
    /// Sent back and to be sent again, before anything that is new.
    var repeated = Deque<OutFrame>()
    var waiting = Deque<OutFrame>()

    var isEmpty: Bool { repeated.isEmpty && waiting.isEmpty }

    /// The frame that is to be sent next.
    var first: OutFrame? { repeated.first ?? waiting.first }

    mutating func popFirst() -> OutFrame? { repeated.popFirst() ?? waiting.popFirst() }
}

/// Somebody who waits until a leader is known.
struct LeaderWaiter {
    var deadline: NIODeadline
    var complete: (Result<Located, FlotillaError>) -> Void
}

/// Somebody who waits until a session has begun.
struct SessionWaiter {
    var deadline: NIODeadline
    var complete: (Result<Void, FlotillaError>) -> Void
}

/// A question where a cluster is.
struct Question: Hashable {
    var address: NodeAddress
    /// Whether the node answers only once it knows a leader.
    var waits: Bool
}

/// What a client knows of a cluster, and what waits to be sent there. Confined to the client's event loop.
final class ClusterRoute {
    let name: ClusterName
    /// One queue for each kind of operation, by connection lane.
    var lanes: [[FrameQueue]]
    /// The answer to the last question where the cluster is.
    var located: Located?
    /// Who leads; the highest term in which somebody was named.
    var leader: Target?
    var term = Term.zero
    /// A server that answers local queries.
    var local: Target?
    var waiters: [LeaderWaiter] = []
    /// Whether rounds of questions are going on.
    var isLocating = false
    var locateBackOff: BackOff
    /// Questions that are not answered yet.
    var asked: Set<Question> = []
    /// Nodes whose last answer was that they host no member.
    var strangers: Set<NodeAddress> = []
    /// How often commands were sent back since one was answered.
    var refusals = 0
    var refusalBackOff: BackOff
    /// Nothing is sent before this time.
    var pausedUntil: NIODeadline?
    /// The session that its commands belong to.
    var session = SessionState()
    /// Who waits until there is one.
    var sessionWaiters: [SessionWaiter] = []
    /// Who takes what the cluster tells the session.
    var listeners: [AsyncStream<RawSessionMessage>.Continuation] = []
    /// Since when nothing was heard although something was sent; `nil` while nothing is open.
    var silentSince: NIODeadline?

    init(name: ClusterName, lanes: Int, backOff: BackOff, refusalBackOff: BackOff) {
        self.name = name
        self.lanes = Array(
            repeating: Array(repeating: FrameQueue(), count: OperationKind.allCases.count), count: lanes)
        locateBackOff = backOff
        self.refusalBackOff = refusalBackOff
    }

    /// Whether a session is to be begun although no command waits.
    var wantsSession: Bool {
        session.current == nil && (!sessionWaiters.isEmpty || !listeners.isEmpty)
    }

    /// Whether something waits that only a leader can do.
    var wantsLeader: Bool {
        !waiters.isEmpty || wantsSession || session.keepIsDue
            || lanes.contains { $0[0..<OperationKind.localQuery.rawValue].contains { !$0.isEmpty } }
    }

    /// Whether local queries wait.
    var wantsLocal: Bool { lanes.contains { !$0[OperationKind.localQuery.rawValue].isEmpty } }

    /// The server that operations of a kind go to.
    func target(of kind: OperationKind) -> Target? { kind == .localQuery ? local : leader }

    /// The addresses of the members, as far as they are known.
    var memberAddresses: [NodeAddress] { located?.configuration.members.map(\.address) ?? [] }

    /// Takes over what a node says about the cluster.
    ///
    /// - Returns: whether it names a leader that is not older than the one that is known.
    func adopt(_ answer: Located, from address: NodeAddress) -> Bool {
        strangers.remove(address)
        if let located, located.cluster != answer.cluster {
            // The cluster was deleted and made again under its name: nothing of what is known holds.
            leader = nil
            local = nil
            term = .zero
        }
        local =
            local
            ?? Target(
                uid: answer.local, id: answer.configuration.member(answer.local)?.id, address: address)
        guard answer.term >= term else { return false }
        located = answer
        guard let uid = answer.leader, let member = answer.configuration.member(uid) else { return false }
        term = answer.term
        leader = Target(uid: uid, id: member.id, address: member.address)
        return true
    }

    /// Takes note that a server does not lead, and who may do so in its place.
    func deposed(_ server: ServerUID, hint: ServerID?) {
        guard let leader, leader.uid == server else { return }
        self.leader = nil
        guard let hint, let member = located?.configuration.members.first(where: { $0.id == hint }),
            member.uid != server
        else { return }
        self.leader = Target(uid: member.uid, id: member.id, address: member.address)
    }

    /// The name of a member.
    func name(of server: ServerUID) -> ServerID? {
        leader?.uid == server ? leader?.id : located?.configuration.member(server)?.id
    }
}
