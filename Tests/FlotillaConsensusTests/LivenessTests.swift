import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct LivenessTests {
    @Test func `an idle cluster is silent and waits for nothing`() {
        let fleet = Fleet(5)
        fleet.elect(1)
        fleet.propose(3, at: 1)
        fleet.settle()
        #expect(fleet.nextDeadline == nil)
        let before = fleet.sent.count
        fleet.advance(by: .seconds(3_600))
        #expect(fleet.sent.count == before)
        #expect(fleet.leaders == [1])
    }

    @Test func `a leader that hears no majority steps down after an election timeout`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(1)
        fleet.advance(by: .milliseconds(499))
        #expect(fleet[1].role == .leader)
        fleet.advance(by: .milliseconds(1))
        #expect(fleet[1].role == .follower)
        #expect(fleet[1].leader == nil)
    }

    @Test func `a leader goes on while a majority is heard`() {
        let fleet = Fleet(5)
        fleet.elect(1)
        fleet.cut(1, from: [2, 3])
        #expect(fleet[1].deadline == nil)
        fleet.cut(1, from: [4])
        #expect(fleet[1].deadline != nil)
        fleet.cuts.remove([1, 4])
        fleet.connect(1)
        fleet.settle()
        #expect(fleet[1].deadline == nil)
        fleet.advance(by: .seconds(2))
        #expect(fleet[1].role == .leader)
    }

    @Test func `a connection that is up again is not heard until it confirms`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        for other in [2, 3] {
            fleet.step(1, .peerDown(Fleet.uid(other)))
            fleet.step(1, .peerUp(Fleet.uid(other)))
        }
        #expect(fleet[1].peerOverview.allSatisfy { !$0.isHeard })
        fleet.step(1, .peerState(Fleet.uid(2), term: 1, leader: Fleet.uid(1)))
        #expect(fleet[1].peerOverview[0].isHeard)
        fleet.step(1, .peerState(Fleet.uid(3), term: 1, leader: nil))
        #expect(!fleet[1].peerOverview[1].isHeard)
    }

    @Test func `a follower that does not confirm its leader is asked by it`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.step(1, .peerState(Fleet.uid(2), term: 1, leader: nil))
        fleet.flush(1)
        #expect(fleet.sentSince(before, from: 1).map(\.isAppendEntries) == [true])
        fleet.settle()
        #expect(fleet[1].peerOverview[0].isHeard)
    }

    @Test func `a follower whose leader's node is lost waits shortly, one whose leader is not confirmed longer`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        #expect(fleet[2].deadline == nil)
        fleet.step(2, .peerDown(Fleet.uid(3)))
        #expect(fleet[2].deadline == nil, "another follower is not the leader")
        fleet.step(2, .peerDown(Fleet.uid(1)))
        #expect(fleet[2].leader == nil)
        #expect(wait(fleet, 2) >= .milliseconds(5) && wait(fleet, 2) <= .milliseconds(60))
        fleet.step(3, .peerState(Fleet.uid(1), term: 1, leader: nil))
        #expect(wait(fleet, 3) >= .milliseconds(500) && wait(fleet, 3) < .seconds(1))
        fleet.step(3, .peerState(Fleet.uid(1), term: 1, leader: Fleet.uid(1)))
        #expect(fleet[3].deadline == nil)
        #expect(fleet[3].leader == Fleet.uid(1))
    }

    private func wait(_ fleet: Fleet, _ number: Int) -> Duration {
        fleet.servers[number]?.deadline.map { $0 - fleet.now } ?? .zero
    }

    @Test func `a restarted follower is told of its leader by the nodes' exchange alone`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(2)
        fleet.start(2)
        #expect(fleet[2].deadline != nil)
        fleet.step(2, .peerState(Fleet.uid(1), term: 1, leader: Fleet.uid(1)))
        #expect(fleet[2].leader == Fleet.uid(1))
        #expect(fleet[2].deadline == nil)
    }

    @Test func `answers from before a connection broke do not count as heard`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(at: 1)
        fleet.deliverRound()
        let late = fleet.take(\.message.isAppendReply)
        fleet.isolate(1)
        for envelope in late { fleet.step(1, .message(envelope.message, from: Fleet.uid(envelope.from))) }
        #expect(fleet[1].commitIndex == 2, "what they say is true all the same")
        #expect(fleet[1].peerOverview.allSatisfy { !$0.isHeard })
        fleet.advance(by: .milliseconds(500))
        #expect(fleet[1].role == .follower)
    }

    @Test func `a cluster whose leader is cut off goes on, and is one again afterwards`() {
        let fleet = Fleet(5)
        fleet.elect(1)
        fleet.isolate(1)
        fleet.lose()
        fleet.advance(by: .milliseconds(60))
        for _ in 0..<10 where !fleet.leaders.contains(where: { $0 != 1 }) {
            fleet.settle()
            fleet.advance(by: .milliseconds(200))
        }
        #expect(fleet.leaders.contains { $0 != 1 })
        fleet.heal()
        fleet.settle()
        #expect(fleet.leaders.count == 1)
        #expect(fleet[1].leader == fleet[fleet.leaders[0]].uid)
    }

    /// The followers' ends of the connections never broke, so they would go on hearing a leader that leads no more.
    @Test func `a leader that stepped down may campaign though the others still hear it`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        for other in [2, 3] { fleet.step(1, .peerDown(Fleet.uid(other))) }
        fleet.advance(by: .milliseconds(500))
        #expect(fleet[1].role == .follower)
        #expect(fleet[2].leader == Fleet.uid(1))
        for other in [2, 3] { fleet.step(1, .peerUp(Fleet.uid(other))) }
        fleet.fire(1)
        fleet.settle()
        #expect(fleet.leaders == [1])
        #expect(fleet[1].term == 2)
        fleet.advance(by: .seconds(5))
        #expect(fleet.leaders == [1])
    }
}
