import FlotillaConsensus
import FlotillaWire
import Testing

/// Servers on their way into a cluster.
@Suite struct JoiningTests {
    @Test func `a server that is a member of nothing yet waits, takes entries and becomes a voter`() {
        let fleet = Fleet(3, spare: 1)
        fleet.elect(1)
        fleet.advance(by: .seconds(60))
        fleet.settle()
        #expect(fleet[4].role == .follower && fleet[4].deadline == nil && !fleet[4].isRemoved)
        fleet.step(4, .triggerElection)
        #expect(fleet[4].role == .follower)
        fleet.propose(5, at: 1)
        fleet.heldDisks = [4]
        #expect(fleet.change(.add(Fleet.member(4, .promotable(target: 0))), at: 1) == nil)
        let target = fleet[1].lastIndex.previous
        #expect(fleet[1].configuration.member(Fleet.uid(4))?.role == .promotable(target: target))
        fleet.settle()
        #expect(fleet[4].configurationIndex == fleet[1].lastIndex)
        #expect(!fleet[1].configuration.isVoter(Fleet.uid(4)), "its disk has nothing yet")
        fleet.heldDisks = []
        fleet.sync(4)
        fleet.settle()
        #expect((1...4).allSatisfy { fleet[$0].configuration.isVoter(Fleet.uid(4)) })
        fleet.crash(1)
        fleet.elect(4)
        #expect(fleet.leaders == [4])
    }

    @Test func `a promotion waits until the change before is committed`() {
        let fleet = Fleet(3, spare: 1)
        fleet.elect(1)
        fleet.isolate(2)
        fleet.isolate(3)
        fleet.change(.add(Fleet.member(4, .promotable(target: 0))), at: 1)
        fleet.settle()
        #expect(fleet[1].peerOverview.last?.match == 2)
        #expect(fleet[1].configurationIndex == 2, "it has all, but nobody else has that it was added")
        fleet.heal()
        fleet.settle()
        #expect(fleet[1].configurationIndex == 3 && fleet[1].configuration.isVoter(Fleet.uid(4)))
        #expect(fleet[4].committedConfigurationIndex == 3)
    }

    @Test func `whoever leads next goes on with a promotion`() {
        let fleet = Fleet(3, spare: 1)
        fleet.elect(1)
        fleet.isolate(4)
        fleet.change(.add(Fleet.member(4, .promotable(target: 0))), at: 1)
        fleet.settle()
        fleet.crash(1)
        fleet.elect(2)
        #expect(!fleet[2].configuration.isVoter(Fleet.uid(4)), "it is down")
        fleet.heal()
        fleet.settle()
        #expect(fleet[2].configuration.isVoter(Fleet.uid(4)))
        #expect(fleet[4].committedConfigurationIndex == fleet[2].configurationIndex)
    }

    @Test func `several that are promotable become voters one after the other`() {
        let fleet = Fleet(1, spare: 3)
        fleet.elect(1)
        for number in 2...4 {
            fleet.isolate(number)
            fleet.change(.add(Fleet.member(number, .promotable(target: 0))), at: 1)
            fleet.settle()
        }
        fleet.heal()
        fleet.settle()
        #expect(fleet[1].configuration.voters.count == 4)
        #expect(fleet[1].configurationIndex == 7 && fleet[1].commitIndex == 7)
    }

    @Test func `a joiner restarts as what it was`() {
        let fleet = Fleet(3, spare: 1)
        fleet.elect(1)
        fleet.change(.add(Fleet.member(4)), at: 1)
        fleet.settle()
        fleet.crash(4)
        fleet.restart(4)
        fleet.settle()
        fleet.crash(1)
        fleet.elect(4)
        #expect(fleet.leaders == [4])
    }

    @Test func `a change that is overwritten gives the smaller majority back`() {
        let fleet = Fleet(3, spare: 2)
        fleet.elect(1)
        fleet.cut(1, from: [2, 3])
        fleet.change(.add(Fleet.member(4)), at: 1)
        fleet.settle()
        #expect(fleet[4].configuration.members.count == 4)
        fleet.elect(2)
        fleet.heal()
        fleet.settle()
        #expect(fleet[1].configuration.members.count == 3 && fleet[1].configurationIndex == .zero)
        fleet.crash(3)
        fleet.propose(at: 2)
        fleet.settle()
        #expect(fleet[2].commitIndex == fleet[2].lastIndex, "two of three are a majority again")
        #expect(fleet[4].configuration.members.count == 4, "nobody sends it anything")
    }
}
