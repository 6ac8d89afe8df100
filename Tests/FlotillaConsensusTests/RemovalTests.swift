import FlotillaConsensus
import FlotillaWire
import Testing

/// Servers on their way out of a cluster, and those that are out and do not know it.
@Suite struct RemovalTests {
    private func elected(_ count: Int, spare: Int = 0) -> Fleet {
        let fleet = Fleet(count, spare: spare)
        fleet.elect(1)
        fleet.propose(3, at: 1)
        fleet.settle()
        return fleet
    }

    @Test func `a leader that removes itself leads until that is committed, then hands over`() {
        let fleet = elected(3)
        fleet.heldDisks = [2]
        #expect(fleet.change(.remove(Fleet.uid(1)), at: 1) == nil)
        fleet.settle()
        #expect(fleet[1].isRetiring && fleet[1].commitIndex == 4, "one of the two that are left is no majority")
        #expect(fleet.refusal(at: 1) == .retiring)
        #expect(fleet.change(.add(Fleet.member(1)), at: 1) == .notPermitted)
        fleet.heldDisks = []
        fleet.sync(2)
        fleet.settle()
        #expect(fleet[1].role == .follower && fleet[1].isRemoved && fleet[1].deadline == nil)
        #expect(fleet.leaders.count == 1 && fleet.leaders != [1])
        #expect(fleet[2].term == 2 && fleet[2].committedConfigurationIndex == 5)
        fleet.step(1, .triggerElection)
        fleet.advance(by: .seconds(30))
        fleet.settle()
        #expect(fleet[1].role == .follower && fleet[2].term == 2)
    }

    /// Its place may have been given to another server of its node, without which nobody can be elected.
    @Test func `a removed server learns of it also where nobody leads any more`() {
        let fleet = elected(3)
        fleet.isolate(3)
        fleet.change(.remove(Fleet.uid(3)), at: 1)
        fleet.settle()
        #expect(fleet[2].committedConfiguration.member(Fleet.uid(3)) == nil)
        fleet.heal()
        fleet.crash(1)
        for _ in 0..<20 where !fleet[3].isRemoved {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet[3].isRemoved && fleet.leaders.isEmpty)
    }

    @Test func `a leader that gives its vote away hands over and follows`() {
        let fleet = elected(3)
        #expect(fleet.change(.add(Fleet.member(1, .nonVoter)), at: 1) == nil)
        fleet.settle()
        #expect(fleet.leaders.count == 1 && fleet.leaders != [1])
        fleet.propose(at: fleet.leaders[0])
        fleet.settle()
        #expect(fleet[1].commitIndex == fleet[2].commitIndex && !fleet[1].isRemoved)
    }

    /// Nobody may tell the followers that the leader is gone: it is no member any more, and so no node says that it is.
    @Test func `followers of a leader that left elect another even if nothing of its farewell arrives`() {
        let fleet = elected(3)
        fleet.loses = { if case .timeoutNow = $0.message { true } else { $0.message.isCommitNotice } }
        fleet.change(.remove(Fleet.uid(1)), at: 1)
        fleet.settle()
        #expect(fleet[1].role == .follower && fleet.leaders.isEmpty)
        for _ in 0..<20 where fleet.leaders.isEmpty {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet.leaders == [2] || fleet.leaders == [3])
    }

    @Test func `a leader that goes down to the other of two hands over to it`() {
        let fleet = elected(2)
        fleet.change(.remove(Fleet.uid(1)), at: 1)
        fleet.settle()
        #expect(fleet.leaders == [2])
        #expect(fleet[2].configuration.members.count == 1)
        fleet.propose(at: 2)
        #expect(fleet[2].commitIndex == fleet[2].lastIndex)
    }

    /// Without that, neither could be elected: the other's log is behind.
    @Test func `a server whose own removal is in its log alone still campaigns, for the others' votes`() {
        let fleet = elected(2)
        fleet.loses = { $0.message.isAppendEntries }
        fleet.change(.remove(Fleet.uid(1)), at: 1)
        fleet.settle()
        fleet.crash(1)
        fleet.restart(1)
        fleet.loses = { _ in false }
        #expect(fleet.log(of: 1) == "1 1 1 1 1" && fleet.log(of: 2) == "1 1 1 1")
        fleet.step(2, .triggerElection)
        fleet.settle()
        #expect(fleet.leaders.isEmpty)
        for _ in 0..<40 where fleet.leaders != [2] {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet.leaders == [2])
        #expect(fleet[1].isRemoved)
    }

    @Test func `a removed server with the longest log is told so and deposes nobody`() {
        let fleet = elected(4)
        fleet.isolate(1)
        fleet.propose(50, at: 1)
        fleet.elect(2)
        fleet.change(.remove(Fleet.uid(1)), at: 2)
        fleet.settle()
        fleet.heal()
        fleet.settle()
        fleet.step(1, .triggerElection)
        for _ in 0..<20 {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet.leaders == [2] && fleet[2].term == 2)
        #expect(fleet[1].isRemoved && fleet[1].lastIndex == 54)
    }

    @Test func `a removed server wins nothing while the others have no leader`() {
        let fleet = elected(4)
        fleet.isolate(4)
        fleet.change(.remove(Fleet.uid(4)), at: 1)
        fleet.settle()
        fleet.crash(1)
        fleet.heal()
        for _ in 0..<10 {
            fleet.step(4, .triggerElection)
            fleet.settle()
            #expect(fleet[4].role != .leader)
        }
        #expect(fleet[2].term == 1, "its pre-votes raise no terms")
        fleet.elect(2)
        #expect(fleet.leaders == [2])
    }

    @Test func `a removed server that does not campaign is told when nodes compare notes`() {
        let fleet = elected(4)
        fleet.cut(4, from: [1])
        fleet.change(.remove(Fleet.uid(4)), at: 1)
        fleet.settle()
        #expect(!fleet[4].isRemoved)
        fleet.step(2, .peerState(Fleet.uid(4), term: 1, leader: Fleet.uid(1)))
        fleet.settle()
        #expect(fleet[4].isRemoved && fleet[4].leader == nil)
    }

    /// The leader, whom it does not know as a member any more than the leader knows it, may be out of its reach.
    @Test func `a removed server is told by another that was removed after it`() {
        let fleet = elected(3)
        fleet.isolate(3)
        fleet.change(.remove(Fleet.uid(3)), at: 1)
        fleet.settle()
        fleet.change(.remove(Fleet.uid(2)), at: 1)
        fleet.settle()
        fleet.step(2, .peerState(Fleet.uid(1), term: 1, leader: nil))
        fleet.advance(by: .seconds(2))
        fleet.settle()
        #expect(fleet[2].isRemoved && !fleet[3].isRemoved)
        fleet.loses = { [$0.from, $0.to].sorted() == [1, 3] }
        fleet.heal()
        for _ in 0..<10 {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet[3].isRemoved && fleet[3].role == .follower && fleet[3].deadline == nil)
    }

    @Test func `who never was a member is not told that it was removed`() {
        let fleet = elected(3, spare: 1)
        fleet.step(4, .message(.removed(Removed(term: 1, committedIndex: 4)), from: Fleet.uid(1)))
        #expect(!fleet[4].isRemoved)
    }

    @Test func `who was removed behind its own, lost change is out though its log names it later`() {
        let fleet = Fleet(4, spare: 1)
        fleet.elect(1)
        fleet.isolate(1)
        fleet.propose(9, at: 1)
        fleet.change(.add(Fleet.member(5)), at: 1)
        fleet.elect(2)
        fleet.change(.remove(Fleet.uid(1)), at: 2)
        fleet.settle()
        #expect(fleet[1].configurationIndex == 11 && fleet[2].commitIndex == 3)
        fleet.step(1, .message(.removed(Removed(term: 2, committedIndex: 3)), from: Fleet.uid(2)))
        #expect(fleet[1].role == .leader, "a leader does not believe it")
        fleet.advance(by: .seconds(1))
        fleet.step(1, .message(.removed(Removed(term: 2, committedIndex: 3)), from: Fleet.uid(2)))
        #expect(fleet[1].isRemoved)
    }

    @Test func `a transfer to whom is on its way out does no harm`() {
        let fleet = elected(4)
        fleet.loses = { $0.from == 2 || $0.from == 3 }
        fleet.change(.remove(Fleet.uid(4)), at: 1)
        fleet.settle()
        fleet.step(1, .transferLeadership(to: Fleet.uid(4), giveUpAt: fleet.now + .seconds(1)))
        #expect(fleet.notes[1]?.last == .transferEnded(.refused(.unknownMember)))
        // A request from before that comes late: the rest has the removal, and so more of the log.
        fleet.step(4, .message(.timeoutNow(TimeoutNow(term: 1)), from: Fleet.uid(1)))
        fleet.loses = { _ in false }
        for _ in 0..<20 where fleet.leaders.isEmpty || fleet.leaders == [4] {
            fleet.settle()
            fleet.advance(by: .milliseconds(300))
        }
        #expect(fleet.leaders.count == 1 && fleet.leaders != [4])
    }

    @Test func `a transfer that is under way when the leader retires is not doubled`() {
        let fleet = elected(3)
        fleet.heldDisks = [2, 3]
        fleet.change(.remove(Fleet.uid(1)), at: 1)
        fleet.step(1, .transferLeadership(to: Fleet.uid(3), giveUpAt: fleet.now + .seconds(1)))
        fleet.settle()
        fleet.heldDisks = []
        for number in [2, 3] { fleet.sync(number) }
        fleet.settle()
        #expect(fleet.leaders.count == 1 && fleet.leaders != [1])
        #expect(fleet.sent.filter { if case .timeoutNow = $0.message { true } else { false } }.count == 1)
    }
}
