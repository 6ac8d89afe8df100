import FlotillaConsensus
import FlotillaWire
import Testing

/// Nothing that depends on a term or a vote leaves before its record is durable.
@Suite struct HardStateTests {
    @Test func `a candidate asks for votes only when its own term and vote are durable`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        fleet.step(1, .triggerElection)
        fleet.settle()
        #expect(fleet[1].role == .candidate)
        #expect(!fleet.sent.contains { isVote($0.message) })
        fleet.sync(1)
        #expect(fleet.sent.filter { isVote($0.message) }.count == 2)
    }

    @Test func `a candidate with a slow disk waits instead of raising the term again`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        fleet.step(1, .triggerElection)
        fleet.settle()
        fleet.fire(1)
        fleet.fire(1)
        #expect(fleet[1].role == .candidate)
        #expect(fleet[1].term == 1)
    }

    @Test func `a vote is answered only when its record is durable`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [2, 3]
        fleet.step(1, .triggerElection)
        fleet.settle()
        #expect(fleet[1].role == .candidate)
        fleet.crash(3)
        fleet.sync(2)
        fleet.settle()
        #expect(fleet[1].role == .leader)
    }

    @Test func `a vote that a crash forgot was never heard of`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [2]
        fleet.isolate(3)
        fleet.step(1, .triggerElection)
        fleet.settle()
        #expect(fleet[2].hardState == HardState(term: 1, vote: Fleet.uid(1)))
        fleet.crash(2)
        fleet.restart(2)
        #expect(fleet[2].hardState == .initial)
        #expect(fleet[1].role == .candidate)
    }

    @Test func `a vote of a term that has passed meanwhile is not sent`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        let first = VoteRequest(kind: .vote, term: 1, lastIndex: 0, lastTerm: 0)
        let second = VoteRequest(kind: .vote, term: 2, lastIndex: 0, lastTerm: 0)
        fleet.step(1, .message(.voteRequest(first), from: Fleet.uid(2)))
        fleet.step(1, .message(.voteRequest(second), from: Fleet.uid(3)))
        fleet.sync(1)
        #expect(fleet.sent.map(\.to) == [3])
    }

    @Test func `who asks twice for the same vote gets it twice, and nobody else does`() {
        let fleet = Fleet(3)
        let request = VoteRequest(kind: .vote, term: 1, lastIndex: 0, lastTerm: 0)
        fleet.step(1, .message(.voteRequest(request), from: Fleet.uid(2)))
        fleet.step(1, .message(.voteRequest(request), from: Fleet.uid(2)))
        fleet.step(1, .message(.voteRequest(request), from: Fleet.uid(3)))
        let granted = fleet.sent.map { envelope -> Bool? in
            if case .voteReply(let reply) = envelope.message { reply.granted } else { nil }
        }
        #expect(granted == [true, true, false])
    }

    @Test func `entries are acknowledged only when the record of the term is durable too`() {
        let fleet = Fleet(3, logs: [1: "1", 2: "1", 3: "1"])
        fleet.heldDisks = [3]
        fleet.elect(1)
        #expect(fleet[1].peerOverview[1].match == .zero)
        fleet.sync(3, writes: 1)
        fleet.settle()
        #expect(fleet[1].peerOverview[1].match == 1 || fleet[1].peerOverview[1].match == .zero)
        fleet.sync(3)
        fleet.settle()
        #expect(fleet[1].peerOverview[1].match == 2)
    }

    @Test func `a probe of what is durable waits for the record of the term`() {
        let fleet = Fleet(3, logs: [3: "1 1"])
        fleet.heldDisks = [3]
        let message = AppendEntries(term: 4, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: 0)
        fleet.step(3, .appendEntries(message, from: Fleet.uid(1), terms: [], configurations: []))
        #expect(fleet.sent.isEmpty)
        fleet.sync(3)
        #expect(fleet.sent.map(\.message) == [.appendReply(AppendReply(term: 4, outcome: .matched(2)))])
    }

    private func isVote(_ message: ConsensusMessage) -> Bool {
        if case .voteRequest(let request) = message { request.kind != .preVote } else { false }
    }
}
