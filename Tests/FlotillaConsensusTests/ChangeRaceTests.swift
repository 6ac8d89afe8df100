import FlotillaConsensus
import FlotillaWire
import Testing

/// Two leaders of different terms that change the members, each without knowing of the other's change: the three ways in
/// which single-server changes lose entries unless a leader first commits an entry of its term (Ongaro on raft-dev,
/// July 2015).
@Suite struct ChangeRaceTests {
    static let races: [(MembershipChange, MembershipChange)] = [
        (.add(Fleet.member(5)), .add(Fleet.member(6))),
        (.add(Fleet.member(5)), .remove(Fleet.uid(1))),
        (.remove(Fleet.uid(2)), .remove(Fleet.uid(1))),
    ]

    /// Server 1 led and made a change that reached nobody but whom it adds; server 2 leads the next term by the votes of
    /// 3 and 4, and its noop has reached server 3 only.
    private func race(_ first: MembershipChange) -> Fleet {
        let fleet = Fleet(4, spare: 2)
        fleet.elect(1)
        fleet.cut(1, from: [2, 3, 4])
        #expect(fleet.change(first, at: 1) == nil)
        fleet.settle()
        fleet.loses = { $0.message.isAppendEntries && $0.to != 3 }
        fleet.step(2, .triggerElection)
        fleet.settle()
        #expect(fleet[2].role == .leader && fleet[2].term == 2)
        #expect(fleet.log(of: 3) == "1 2" && fleet.log(of: 4) == "1")
        return fleet
    }

    @Test(arguments: races)
    func `the second leader must not change the members yet, and the first may win`(
        first: MembershipChange, second: MembershipChange
    ) {
        let fleet = race(first)
        #expect(fleet.change(second, at: 2) == .notPermitted)
        // This is how the second change would be lost: the first leader comes back with its own configuration.
        fleet.loses = { _ in false }
        for number in [2, 3] { fleet.crash(number) }
        fleet.heal()
        fleet.settle()
        fleet.campaign(1)
        #expect(fleet.log(of: 1) == "1 1 3")
    }

    @Test(arguments: races)
    func `once the second leader's entry is committed, the first can't win by its own configuration`(
        first: MembershipChange, second: MembershipChange
    ) {
        let fleet = race(first)
        fleet.loses = { _ in false }
        fleet.cut(2, from: [4])
        fleet.cuts.remove([2, 4])
        fleet.step(2, .peerUp(Fleet.uid(4)))
        fleet.settle()
        #expect(fleet.log(of: 4) == "1 2")
        fleet.loses = { $0.to == 4 }
        #expect(fleet.change(second, at: 2) == nil)
        fleet.settle()
        fleet.loses = { _ in false }
        for number in [2, 3] { fleet.crash(number) }
        fleet.heal()
        for _ in 0..<5 {
            fleet.step(1, .triggerElection)
            fleet.settle()
            #expect(fleet[1].role != .leader, "server 4 has a later log")
        }
        for number in [2, 3] { fleet.restart(number) }
        for _ in 0..<20 where fleet.leaders.isEmpty {
            fleet.advance(by: .milliseconds(300))
            fleet.settle()
        }
        #expect(fleet.leaders.count == 1 && fleet.leaders != [1])
    }
}
