import FlotillaStorage
import FlotillaWire
import NIOCore

/// Holds what servers promise to each other against what is on their disks at that moment. A promise that is made too
/// early is found each time it is made, not only when a crash falls into the moment between.
extension Checker {
    /// A node hands records to its log.
    func handsOver(_ records: [WALRecord], on host: Int) {
        durable.handedOver(records)
        for case .serverDeleted(_, let cluster, let index, let term) in records where index > .zero {
            do throws(Violation) { try ends(cluster, at: index, in: term, on: host) } catch { world.fail(error) }
        }
    }

    /// The log of a node tells what has become durable.
    func became(_ notices: [DurableNotice]) { durable.became(notices) }

    /// A message is about to leave the server that sends it.
    func checkPromise(_ message: ConsensusMessage, _ address: ConsensusAddress, on host: Int) throws(Violation) {
        switch message {
        case .voteReply(let reply) where reply.granted && reply.kind != .preVote:
            try checkVote(of: address.sender, for: address.target, in: reply.term, on: host)
        case .voteRequest(let request) where request.kind != .preVote:
            try checkVote(of: address.sender, for: address.sender, in: request.term, on: host)
        case .appendReply(let reply):
            guard case .matched(let index) = reply.outcome else { return }
            try checkAcknowledgement(of: index, by: address.sender, in: reply.term, on: host)
        default: break
        }
    }

    private func checkVote(
        of voter: ServerUID, for candidate: ServerUID, in term: Term, on host: Int
    ) throws(Violation) {
        guard let state = durable.hardState(of: voter),
            state.term < term || (state.term == term && state.vote != candidate)
        else { return }
        throw Violation(
            .promise, "n\(host + 1) votes for \(candidate) in term \(term) while its disk says \(state)")
    }

    private func checkAcknowledgement(
        of index: LogIndex, by server: ServerUID, in term: Term, on host: Int
    ) throws(Violation) {
        if let state = durable.hardState(of: server), state.term < term {
            throw Violation(
                .promise, "n\(host + 1) acknowledges entries in term \(term) while its disk says \(state)")
        }
        guard index > .zero, !isCovered(index, of: server, on: host) else { return }
        let held = durable.line(of: server, at: index)
        // What it has in memory there, and so means, as far as that was seen.
        let meant = line(of: server, at: index, on: host) ?? held
        guard held == nil || held != meant else { return }
        throw Violation(
            .promise,
            "n\(host + 1) acknowledges entry \(index) in term \(term) while its disk has "
                + "\(held.map { "another, of term \($0.term)," } ?? "none") there")
    }
}
