import FlotillaWire

/// A leader's queries that wait for a majority to confirm that it still leads (Ongaro 2014, section 6.4).
struct ReadRounds: Sendable {
    /// Who wants to know.
    enum Origin: Equatable, Sendable {
        /// A query at this server.
        case local(token: UInt64)
        /// A query at a follower, by its number for the request.
        case follower(ServerUID, id: UInt64)
    }

    struct Read: Sendable {
        var origin: Origin
        var index: LogIndex
    }

    /// The number of the round that is out, or of the last one.
    private(set) var number: UInt64 = 0
    /// The queries that the round on its way serves: those that had come before its first message left.
    private(set) var serving: [Read] = []
    /// The queries that came later, and need a round of their own.
    private(set) var waiting: [Read] = []
    /// Who has answered the round.
    private(set) var answered: [ServerUID] = []
    /// When the round, or its last repetition, was sent.
    var sentAt: Instant = .zero

    /// Whether a round is out.
    var isOut: Bool { !serving.isEmpty }

    mutating func add(_ origin: Origin, index: LogIndex) { waiting.append(Read(origin: origin, index: index)) }

    /// Starts a round for all that wait.
    mutating func start(now: Instant) {
        precondition(!isOut && !waiting.isEmpty, "a read round without need")
        number += 1
        swap(&serving, &waiting)
        answered.removeAll(keepingCapacity: true)
        sentAt = now
    }

    /// Notes an answer to the round that is out.
    mutating func answer(from server: ServerUID, round: UInt64) -> Bool {
        guard isOut, round == number, !answered.contains(server) else { return false }
        answered.append(server)
        return true
    }

    /// Takes the queries of the round that is out, which is over.
    mutating func finish() -> [Read] {
        defer { serving = [] }
        return serving
    }

    /// Gives all queries back, because leadership is lost.
    mutating func loseAll(term: Term, actions: inout Actions) {
        for read in serving + waiting {
            switch read.origin {
            case .local(let token): actions.append(.readLost(token: token))
            case .follower(let server, let id):
                let reply = ReadIndexReply(term: term, id: id, index: nil)
                actions.append(.send(.readIndexReply(reply), to: server))
            }
        }
        serving = []
        waiting = []
    }
}

/// A follower's queries for whose index it has asked the leader.
struct ForwardedReads: Sendable {
    private var lastID: UInt64 = 0
    private var open: [(id: UInt64, token: UInt64)] = []

    /// A number for the request that this query needs.
    mutating func add(token: UInt64) -> UInt64 {
        lastID += 1
        open.append((id: lastID, token: token))
        return lastID
    }

    /// The query of a request that was answered; `nil` when it was answered or given back before.
    mutating func take(id: UInt64) -> UInt64? {
        guard let position = open.firstIndex(where: { $0.id == id }) else { return nil }
        return open.remove(at: position).token
    }

    /// Gives all queries back, because the leader that was asked is lost.
    mutating func loseAll(actions: inout Actions) {
        for read in open { actions.append(.readLost(token: read.token)) }
        open.removeAll(keepingCapacity: true)
    }
}
