import FlotillaConsensus
import FlotillaWire
import Testing

/// A server that can't write its vote.
@Suite("A server whose disk stalls")
struct StalledDiskTests {
    private func elected() -> Fleet {
        let fleet = Fleet(3)
        fleet.elect(1)
        return fleet
    }

    @Test func `does not campaign when its leader is lost, and does when the disk works again`() {
        let fleet = elected()
        fleet.step(2, .unfitToLead(true))
        fleet.step(2, .peerDown(Fleet.uid(1)))
        let before = fleet.sent.count
        for _ in 0..<5 { fleet.fire(2) }
        #expect(fleet[2].role == .follower)
        #expect(fleet[2].term == 1)
        #expect(fleet.sentSince(before, from: 2).isEmpty)
        fleet.step(2, .unfitToLead(false))
        fleet.fire(2)
        #expect(fleet[2].role == .preCandidate)
    }

    @Test func `gives up asking when it has only asked whether it would be elected`() {
        let fleet = elected()
        fleet.step(2, .peerDown(Fleet.uid(1)))
        fleet.step(2, .triggerElection)
        #expect(fleet[2].role == .preCandidate)
        fleet.step(2, .unfitToLead(true))
        #expect(fleet[2].role == .follower)
        let promise = VoteReply(kind: .preVote, term: 2, granted: true)
        fleet.step(2, .message(.voteReply(promise), from: Fleet.uid(3)))
        #expect(fleet[2].term == 1)
        #expect(fleet[2].deadline != nil)
    }

    @Test func `takes over from nobody, so that the leader goes on`() {
        let fleet = elected()
        fleet.step(2, .unfitToLead(true))
        fleet.step(1, .transferLeadership(to: Fleet.uid(2), giveUpAt: fleet.now + .seconds(5)))
        fleet.settle()
        #expect(fleet.leaders == [1])
        fleet.advance(by: .milliseconds(500))
        #expect(fleet[1].transferTarget == nil)
        #expect(fleet.propose(at: 1) == 2)
    }

    @Test func `is not made to campaign by the operator`() {
        let fleet = elected()
        fleet.step(2, .peerDown(Fleet.uid(1)))
        fleet.step(2, .unfitToLead(true))
        fleet.step(2, .triggerElection)
        #expect(fleet[2].role == .follower)
    }

    @Test func `hands over what is durable on the others only, without its own disk`() {
        let fleet = elected()
        fleet.heldDisks = [1]
        fleet.step(1, .unfitToLead(true))
        _ = fleet.propose(3, at: 1)
        fleet.settle()
        #expect(fleet[1].durableIndex == 1)
        fleet.step(1, .transferLeadership(to: Fleet.uid(3), giveUpAt: fleet.now + .seconds(5)))
        fleet.settle()
        #expect(fleet.leaders == [3])
        #expect(fleet[3].commitIndex == 5)
        #expect(fleet[1].durableTerm == 1)
    }
}
