import FlotillaConsensus
import FlotillaWire
import Testing

/// The entry that ends a cluster: what is taken behind it, and what becomes of it.
@Suite struct DeletionTests {
    private func elected(_ count: Int = 3) -> Fleet {
        let fleet = Fleet(count, spare: 1)
        fleet.elect(1)
        return fleet
    }

    @Test func `the end is replicated and committed as any entry is`() {
        let fleet = elected()
        #expect(fleet.end(at: 1) == 2)
        #expect(fleet[1].endIndex == 2 && fleet[1].committedEnd == nil)
        fleet.settle()
        #expect((1...3).allSatisfy { fleet[$0].committedEnd == 2 })
    }

    @Test func `behind the end nothing is proposed, and the members are not changed`() {
        let fleet = elected()
        fleet.end(at: 1)
        #expect(fleet.propose(at: 1) == nil && fleet.refusal(at: 1) == .ending)
        #expect(fleet.end(at: 1) == nil, "one end is enough")
        #expect(fleet.change(.add(Fleet.member(4)), at: 1) == .ending)
        fleet.settle()
        #expect(fleet.refusal(at: 1) == .ending && fleet[1].lastIndex == 2)
    }

    @Test func `only a leader ends its cluster, and none that is leaving its place`() {
        let fleet = elected()
        #expect(fleet.end(at: 2) == nil)
        fleet.loses = { $0.message.isAppendEntries }
        fleet.propose(at: 1)
        fleet.step(1, .transferLeadership(to: Fleet.uid(2), giveUpAt: fleet.now + .seconds(1)))
        #expect(fleet.end(at: 1) == nil)
    }

    @Test func `in a minority nothing ends, and a leader that loses the entry takes commands again`() {
        let fleet = elected()
        fleet.isolate(1)
        fleet.end(at: 1)
        fleet.settle()
        #expect(fleet[1].endIndex == 2 && fleet[1].committedEnd == nil)
        fleet.campaign(2)
        fleet.propose(at: 2)
        fleet.settle()
        fleet.heal()
        fleet.settle()
        #expect((1...3).allSatisfy { fleet[$0].endIndex == nil && fleet[$0].commitIndex == 3 })
        fleet.isolate(2)
        fleet.campaign(1)
        #expect(fleet.propose(at: 1) != nil)
    }

    @Test func `whoever has an end that is not committed may be elected and commits it`() {
        let fleet = elected()
        fleet.isolate(3)
        fleet.end(at: 1)
        fleet.deliverRound()
        #expect(fleet[2].endIndex == 2 && fleet[2].committedEnd == nil)
        fleet.lose()
        fleet.crash(1)
        fleet.heal()
        fleet.campaign(2)
        #expect(fleet.refusal(at: 2) == .ending)
        #expect(fleet[2].committedEnd == 2 && fleet[3].committedEnd == 2)
        #expect(fleet[2].lastIndex == 3, "the first entry of its term stands behind the end")
    }

    @Test func `an end outlives a restart`() {
        let fleet = elected()
        fleet.isolate(1)
        fleet.end(at: 1)
        fleet.crash(1)
        fleet.restart(1)
        #expect(fleet[1].endIndex == 2 && fleet[1].committedEnd == nil)
    }

    @Test func `who is told of the end commits it if it has it, and only that`() {
        let fleet = elected()
        fleet.loses = { $0.message.isAppendReply || $0.to == 3 }
        fleet.end(at: 1)
        fleet.settle()
        #expect(fleet.servers[2]?.hearOfEnd(at: 2, term: 9) == false, "the end of another log")
        #expect(fleet.servers[2]?.hearOfEnd(at: 1, term: 1) == false, "an entry that ends nothing")
        #expect(fleet[2].committedEnd == nil)
        #expect(fleet.servers[3]?.hearOfEnd(at: 2, term: 1) == false, "it has not got it")
        #expect(fleet.servers[1]?.hearOfEnd(at: 2, term: 1) == false, "a leader counts for itself")
        #expect(fleet.servers[2]?.hearOfEnd(at: 2, term: 1) == true)
        #expect(fleet[2].committedEnd == 2 && fleet[3].commitIndex < 2)
        fleet[2].checkInvariants()
    }

    @Test func `a snapshot in place of a log takes an end that was never committed along`() {
        let fleet = elected()
        fleet.isolate(1)
        fleet.end(at: 1)
        fleet.campaign(2)
        fleet.propose(3, at: 2)
        fleet.settle()
        fleet.compact(2)
        fleet.compact(3)
        fleet.heal()
        fleet.settle()
        #expect(fleet[1].endIndex == nil && fleet[1].commitIndex == fleet[2].commitIndex)
    }
}
