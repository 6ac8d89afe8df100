import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct PreVoteTests {
    private func preVote(term: Term, lastIndex: LogIndex = 9, lastTerm: Term = 9) -> Event {
        let request = VoteRequest(kind: .preVote, term: term, lastIndex: lastIndex, lastTerm: lastTerm)
        return .message(.voteRequest(request), from: Fleet.uid(2))
    }

    private func lastReply(_ fleet: Fleet) -> VoteReply? {
        guard case .voteReply(let reply)? = fleet.sent.last?.message else { return nil }
        return reply
    }

    @Test func `a pre-vote leaves term and vote untouched`() {
        let fleet = Fleet(3, logs: [1: "1 1"])
        let before = fleet[1].hardState
        fleet.step(1, preVote(term: 8))
        #expect(lastReply(fleet) == VoteReply(kind: .preVote, term: 8, granted: true))
        #expect(fleet[1].hardState == before)
        #expect(fleet.logs[1]?.pending.isEmpty == true)
    }

    @Test func `a pre-vote is refused to a log that is behind`() {
        let fleet = Fleet(3, logs: [1: "1 1"])
        fleet.step(1, preVote(term: 2, lastIndex: 1, lastTerm: 1))
        #expect(lastReply(fleet)?.granted == false)
        fleet.step(1, preVote(term: 2, lastIndex: 2, lastTerm: 1))
        #expect(lastReply(fleet)?.granted == true)
    }

    @Test func `a candidate answers pre-votes by the same rules and yields to a later term`() {
        let fleet = Fleet(3, logs: [1: "1 1"])
        fleet.step(1, .triggerElection)
        let promise = VoteReply(kind: .preVote, term: 2, granted: true)
        fleet.step(1, .message(.voteReply(promise), from: Fleet.uid(3)))
        #expect(fleet[1].role == .candidate)
        fleet.step(1, preVote(term: 2))
        #expect(lastReply(fleet) == VoteReply(kind: .preVote, term: 2, granted: false), "its vote is its own")
        fleet.step(1, preVote(term: 3))
        #expect(lastReply(fleet)?.granted == true)
        fleet.step(1, preVote(term: 3, lastIndex: 1, lastTerm: 1))
        #expect(lastReply(fleet)?.granted == false)
        #expect(fleet[1].role == .candidate)
        let refusal = VoteReply(kind: .vote, term: 5, granted: false)
        fleet.step(1, .message(.voteReply(refusal), from: Fleet.uid(2)))
        #expect(fleet[1].role == .follower)
        #expect(fleet[1].term == 5)
    }

    @Test func `a pre-vote is refused while a leader is heard, and by the leader, which asserts itself`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.step(2, .triggerElection)
        fleet.settle()
        #expect(fleet.leaders == [1])
        #expect(fleet[2].role == .follower)
        #expect(fleet[2].leader == Fleet.uid(1))
        #expect((1...3).map { fleet[$0].term } == [1, 1, 1])
    }

    @Test func `a server that was cut off does not depose the leader when it comes back`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(3)
        for _ in 0..<20 {
            fleet.advance(by: .milliseconds(500))
            fleet.settle()
        }
        #expect(fleet[3].role == .preCandidate)
        #expect(fleet[3].term == 1)
        fleet.propose(2, at: 1)
        fleet.heal()
        fleet.settle()
        #expect(fleet.leaders == [1])
        #expect(fleet[1].term == 1)
        #expect(fleet.log(of: 3) == "1 1 1")
    }

    @Test func `a promise for an earlier campaign does not count`() {
        let fleet = Fleet(3, logs: [1: "1 1"], terms: [1: 4])
        fleet.step(1, .triggerElection)
        let old = VoteReply(kind: .preVote, term: 4, granted: true)
        fleet.step(1, .message(.voteReply(old), from: Fleet.uid(2)))
        #expect(fleet[1].role == .preCandidate)
    }

    @Test func `a follower with a later term than the leader's brings about a new election`() {
        let fleet = Fleet(3, logs: [1: "1", 2: "1", 3: "1"])
        fleet.elect(1)
        fleet.crash(3)
        fleet.logs[3]?.diskHardState = HardState(term: 9, vote: nil)
        fleet.restart(3)
        for _ in 0..<10 {
            fleet.settle()
            fleet.advance(by: .milliseconds(300))
        }
        fleet.settle()
        #expect(fleet.leaders.count == 1)
        #expect((1...3).allSatisfy { fleet[$0].term >= 10 && fleet[$0].leader != nil })
    }
}
