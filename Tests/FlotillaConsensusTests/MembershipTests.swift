import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct MembershipTests {
    @Test func `a configuration is in force as soon as it is appended, on leader and followers`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3, 4]))
        #expect(fleet[1].configuration.members.count == 4)
        #expect(fleet[1].committedConfigurationIndex == .zero)
        fleet.settle()
        for number in 1...3 {
            #expect(fleet[number].configuration.members.count == 4)
            #expect(fleet[number].configurationIndex == 2)
            #expect(fleet[number].committedConfigurationIndex == 2)
        }
    }

    @Test func `the larger majority counts at once`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(3)
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3, 4]))
        fleet.settle()
        #expect(fleet[1].commitIndex == 1, "two of four are no majority")
    }

    @Test func `an overwritten configuration gives way to the one before`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.loses = { $0.to == 2 }
        fleet.heldDisks = [1]
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3, 4, 5]))
        fleet.settle()
        #expect(fleet[3].configuration.members.count == 5)
        fleet.crash(1)
        fleet.crash(3)
        fleet.loses = { _ in false }
        // Server 1 comes back without what it had sent to server 3 only.
        fleet.heldDisks = []
        fleet.restart(1)
        fleet.campaign(2)
        fleet.restart(3)
        #expect(fleet[3].configuration.members.count == 5, "a restarted server finds it in its log")
        fleet.settle()
        #expect(fleet[3].configuration.members.count == 3)
        #expect(fleet[3].configurationIndex == .zero)
        #expect(fleet.log(of: 3) == fleet.log(of: 2))
    }

    @Test func `a non-voter gets everything and counts for nothing`() {
        let fleet = Fleet(4, nonVoters: [3, 4])
        fleet.elect(1)
        fleet.propose(3, at: 1)
        fleet.settle()
        #expect(fleet.log(of: 4) == "1 1 1 1")
        #expect(fleet[4].commitIndex == 4)
        fleet.crash(2)
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet.log(of: 4) == "1 1 1 1 1")
        #expect(fleet[1].commitIndex == 4, "one of two voters is no majority")
        #expect(!fleet.sent.contains { $0.to >= 3 && $0.message.isVoteRequest })
    }

    @Test func `a non-voter that was made a voter may campaign`() {
        let fleet = Fleet(4, nonVoters: [4])
        fleet.elect(1)
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3, 4]))
        fleet.settle()
        fleet.crash(1)
        fleet.elect(4)
        #expect(fleet.leaders == [4])
    }

    /// It may not have the configuration yet that makes it a voter; whoever asks has it, and counts by it.
    @Test func `a server votes for whom it is asked, voter by its own configuration or not`() {
        let fleet = Fleet(4, nonVoters: [4])
        let request = VoteRequest(kind: .vote, term: 1, lastIndex: 5, lastTerm: 1)
        fleet.step(4, .message(.voteRequest(request), from: Fleet.uid(2)))
        #expect(fleet.sent.map(\.message) == [.voteReply(VoteReply(kind: .vote, term: 1, granted: true))])
    }
}
