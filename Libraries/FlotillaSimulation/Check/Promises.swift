import FlotillaStorage
import FlotillaWire

/// What servers have promised each other, taken from what they send: votes and acknowledged entries. A promise that a
/// crash forgets is found when the server comes back, long before it would lead to something worse.
struct Promises {
    private struct Made {
        /// The highest term in which it promised anything.
        var term = Term.zero
        /// Whom it voted for in that term.
        var vote: ServerUID?
        /// How far it acknowledged entries to the leader of `acknowledgedIn`.
        var acknowledged = LogIndex.zero
        var acknowledgedIn = Term.zero
    }

    private var made: [ServerUID: Made] = [:]
    private var votes: [ServerUID: [Term: ServerUID]] = [:]
    /// How far each server acknowledged entries, by the term in which it did.
    private var acknowledged: [ServerUID: [Term: LogIndex]] = [:]

    /// Whether messages of a type promise something, or are about what was promised.
    static func concern(_ type: FrameType) -> Bool {
        switch type {
        case .voteReply, .voteRequest, .appendReply, .readRound, .readRoundReply: true
        default: false
        }
    }

    /// Notes what a message between servers promises.
    mutating func hear(_ message: ConsensusMessage, _ address: ConsensusAddress) throws(Violation) {
        switch message {
        case .voteReply(let reply) where reply.granted && reply.kind != .preVote:
            try vote(address.sender, for: address.target, in: reply.term)
        case .voteRequest(let request) where request.kind != .preVote:
            try vote(address.sender, for: address.sender, in: request.term)
        case .appendReply(let reply):
            if case .matched(let index) = reply.outcome { acknowledge(address.sender, index, in: reply.term) }
        default: break
        }
    }

    private mutating func vote(_ voter: ServerUID, for candidate: ServerUID, in term: Term) throws(Violation) {
        if let before = votes[voter]?[term], before != candidate {
            throw Violation(.promise, "\(voter) votes for \(candidate) in term \(term), and before for \(before)")
        }
        votes[voter, default: [:]][term] = candidate
        promise(voter, in: term)
        if made[voter]?.term == term { made[voter]?.vote = candidate }
    }

    private mutating func acknowledge(_ server: ServerUID, _ index: LogIndex, in term: Term) {
        promise(server, in: term)
        acknowledged[server, default: [:]][term] = max(index, acknowledged[server]?[term] ?? .zero)
        guard var all = made[server], term >= all.acknowledgedIn else { return }
        all.acknowledged = term > all.acknowledgedIn ? index : max(all.acknowledged, index)
        all.acknowledgedIn = term
        made[server] = all
    }

    private mutating func promise(_ server: ServerUID, in term: Term) {
        var all = made[server] ?? Made()
        if term > all.term {
            all.term = term
            all.vote = nil
        }
        made[server] = all
    }

    /// The highest term in which a server has promised anything.
    func term(of server: ServerUID) -> Term? { made[server]?.term }

    /// Whether a server has granted a candidate its vote.
    func hasVoted(_ voter: ServerUID, for candidate: ServerUID, in term: Term) -> Bool {
        votes[voter]?[term] == candidate
    }

    /// Whether a server has acknowledged an entry to the leader of a term.
    func hasAcknowledged(_ server: ServerUID, _ index: LogIndex, in term: Term) -> Bool {
        (acknowledged[server]?[term] ?? .zero) >= index
    }

    /// Compares what a server has after a crash with what it had promised.
    func check(_ server: RecoveredServer) throws(Violation) {
        guard let made = made[server.creation.uid] else { return }
        let name = server.creation.id
        let term = server.hardState.term
        guard term >= made.term else {
            throw Violation(.promise, "\(name) comes back in term \(term), but it made a promise in term \(made.term)")
        }
        if term == made.term, let vote = made.vote, server.hardState.vote != vote {
            throw Violation(.promise, "\(name) comes back without its vote of term \(term)")
        }
        if term == made.acknowledgedIn, server.table.lastIndex < made.acknowledged {
            throw Violation(
                .promise,
                "\(name) comes back with entries through \(server.table.lastIndex), but it acknowledged "
                    + "\(made.acknowledged) in term \(term)")
        }
    }
}
