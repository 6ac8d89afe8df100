import FlotillaConsensus
import FlotillaWire
import Testing

/// When the members may be changed, and to what.
@Suite struct ChangeTests {
    private func elected(_ count: Int = 3, spare: Int = 2, nonVoters: Set<Int> = []) -> Fleet {
        let fleet = Fleet(count, nonVoters: nonVoters, spare: spare)
        fleet.elect(1)
        return fleet
    }

    private func ids(_ fleet: Fleet, _ number: Int) -> [UInt64] { fleet[number].configuration.members.map(\.uid.low) }

    @Test func `a member is added, replicated to and counted, and one is removed`() {
        let fleet = elected()
        #expect(fleet.change(.add(Fleet.member(4)), at: 1) == nil)
        fleet.settle()
        #expect((1...4).allSatisfy { ids(fleet, $0) == [1, 2, 3, 4] && fleet[$0].committedConfigurationIndex == 2 })
        fleet.crash(2)
        fleet.crash(3)
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 2, "two of four are no majority")
        fleet.restart(2)
        fleet.settle()
        #expect(fleet[1].commitIndex == 3)
        #expect(fleet.change(.remove(Fleet.uid(3)), at: 1) == nil)
        fleet.settle()
        #expect(ids(fleet, 4) == [1, 2, 4])
        #expect(fleet[1].commitIndex == 4)
    }

    @Test func `only a leader changes the members, and names the one it knows`() {
        let fleet = elected()
        #expect(fleet.change(.add(Fleet.member(4)), at: 2) == .notLeader(leader: Fleet.uid(1)))
        #expect(fleet.change(.add(Fleet.member(4)), at: 5) == .notLeader(leader: nil))
    }

    @Test func `there is one change at a time`() {
        let fleet = elected()
        fleet.change(.add(Fleet.member(4)), at: 1)
        #expect(fleet.change(.add(Fleet.member(5)), at: 1) == .notPermitted)
        #expect(fleet.change(.remove(Fleet.uid(9)), at: 1) == .notPermitted, "the permission comes first")
        fleet.settle()
        #expect(fleet.change(.add(Fleet.member(5)), at: 1) == nil)
    }

    @Test func `there is no change before the leader's own entry is committed, nor during a transfer`() {
        let fleet = Fleet(3, spare: 1)
        fleet.loses = { $0.message.isAppendEntries }
        fleet.step(1, .triggerElection)
        fleet.settle()
        #expect(fleet.leaders == [1])
        #expect(fleet.change(.add(Fleet.member(4)), at: 1) == .notPermitted)
        fleet.loses = { _ in false }
        fleet.advance(by: .milliseconds(400))
        fleet.isolate(3)
        fleet.heal()
        fleet.isolate(2)
        fleet.heal()
        fleet.settle()
        #expect(fleet[1].readyToServe && fleet[1].membershipRefusal == nil)
        fleet.step(1, .transferLeadership(to: Fleet.uid(2), giveUpAt: fleet.now + .seconds(1)))
        #expect(fleet.change(.add(Fleet.member(4)), at: 1) == .notPermitted)
    }

    @Test func `what can't be is refused with the reason`() {
        let fleet = elected(1)
        #expect(fleet.change(.remove(Fleet.uid(1)), at: 1) == .lastVoter)
        #expect(fleet.change(.add(Fleet.member(1, .nonVoter)), at: 1) == .lastVoter)
        #expect(fleet.change(.remove(Fleet.uid(2)), at: 1) == .notMember)
        #expect(fleet.change(.add(Fleet.member(1)), at: 1) == .alreadyMember)
        var wiped = Fleet.member(1)
        wiped.uid = Fleet.uid(77)
        #expect(fleet.change(.add(wiped), at: 1) == .alreadyMember)
        fleet.change(.add(Fleet.member(2, .nonVoter)), at: 1)
        fleet.settle()
        #expect(fleet.change(.remove(Fleet.uid(1)), at: 1) == .lastVoter, "the other has no vote")
        #expect(fleet[1].lastIndex == 2, "nothing is appended for a refusal")
    }

    @Test func `a cluster grows to its limit and shrinks to one`() {
        let fleet = elected(1, spare: 15)
        for number in 2...15 {
            #expect(fleet.change(.add(Fleet.member(number)), at: 1) == nil)
            fleet.settle()
            #expect(fleet[number].commitIndex == fleet[1].lastIndex)
        }
        #expect(fleet.change(.add(Fleet.member(16)), at: 1) == .tooManyMembers)
        for number in 2...15 {
            #expect(fleet.change(.remove(Fleet.uid(number)), at: 1) == nil)
            fleet.settle()
        }
        #expect(ids(fleet, 1) == [1])
        #expect(fleet[1].committedConfigurationIndex == 29)
        fleet.propose(at: 1)
        #expect(fleet[1].commitIndex == 30, "it is a majority by itself")
    }

    @Test func `a member's role changes in its place, and its vote with it`() {
        let fleet = elected()
        #expect(fleet.change(.add(Fleet.member(2, .nonVoter)), at: 1) == nil)
        fleet.settle()
        #expect(ids(fleet, 1) == [1, 2, 3])
        fleet.crash(3)
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 2, "one of two voters is no majority")
        #expect(fleet[2].lastIndex == 3)
        fleet.step(2, .peerDown(Fleet.uid(1)))
        #expect(fleet[2].deadline == nil, "it does not campaign")
        fleet.restart(3)
        fleet.settle()
        #expect(fleet.change(.add(Fleet.member(2)), at: 1) == nil)
        fleet.settle()
        #expect(fleet[2].configuration.isVoter(Fleet.uid(2)))
        #expect(fleet.change(.add(Fleet.member(2)), at: 1) == .alreadyMember)
        let again = Fleet.member(2, .promotable(target: .zero))
        #expect(fleet.change(.add(again), at: 1) == .alreadyMember, "asking twice costs no vote")
    }

    @Test func `a query whose round needs fewer answers after a removal is answered`() {
        let fleet = elected(4)
        fleet.isolate(3)
        fleet.isolate(4)
        fleet.loses = { $0.message.isReadRoundReply }
        fleet.change(.remove(Fleet.uid(4)), at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 2, "two of three are a majority")
        fleet.heal()
        fleet.settle()
        fleet.change(.add(Fleet.member(4)), at: 1)
        fleet.settle()
        fleet.loses = { _ in false }
        for number in [3, 4] { fleet.crash(number) }
        fleet.step(1, .read(token: 7))
        fleet.settle()
        func isReady() -> Bool {
            (fleet.notes[1] ?? []).contains { if case .readReady(token: 7, index: _) = $0 { true } else { false } }
        }
        #expect(!isReady())
        fleet.change(.remove(Fleet.uid(4)), at: 1)
        fleet.settle()
        #expect(isReady())
    }
}
