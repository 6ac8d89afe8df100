import FlotillaConsensus
import FlotillaWire
import Testing

/// Servers that the configuration does not name: removed ones that do not know it, and new ones that others have not
/// heard of.
@Suite struct UnknownSenderTests {
    /// Four servers, of which the fourth was removed while it was cut off.
    private func fleetWithoutFour() -> Fleet {
        let fleet = Fleet(4)
        fleet.elect(1)
        fleet.isolate(4)
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3]))
        fleet.settle()
        #expect(fleet[1].committedConfigurationIndex == 2)
        return fleet
    }

    @Test func `a leader does not step down for a stranger's higher term`() {
        let fleet = fleetWithoutFour()
        let stranger = Fleet.uid(4)
        let messages: [ConsensusMessage] = [
            .voteRequest(VoteRequest(kind: .vote, term: 9, lastIndex: 9, lastTerm: 9)),
            .voteReply(VoteReply(kind: .vote, term: 9, granted: false)),
            .appendReply(AppendReply(term: 9, outcome: .stale)),
            .readRoundReply(ReadRound(term: 9, round: 1)),
            .readIndexRequest(ReadIndexRequest(term: 9, id: 1)),
        ]
        for message in messages { fleet.step(1, .message(message, from: stranger)) }
        #expect(fleet[1].role == .leader)
        #expect(fleet[1].term == 1)
        fleet.step(1, .message(.appendReply(AppendReply(term: 9, outcome: .stale)), from: Fleet.uid(2)))
        #expect(fleet[1].term == 9, "a member is believed")
    }

    @Test func `a removed server is told so and stops campaigning`() {
        let fleet = fleetWithoutFour()
        fleet.heal()
        fleet.step(4, .triggerElection)
        fleet.settle()
        #expect(fleet.sent.contains { $0.message == .removed(Removed(term: 1, committedIndex: 2)) })
        #expect(fleet[4].role == .follower)
        #expect(fleet[4].deadline == nil)
        fleet.step(4, .triggerElection)
        #expect(fleet[4].role == .follower)
        #expect(fleet.leaders == [1])
    }

    @Test func `a removed server campaigns again when a configuration names it again`() {
        let fleet = fleetWithoutFour()
        fleet.heal()
        fleet.step(4, .triggerElection)
        fleet.settle()
        fleet.changeConfiguration(at: 1, to: Fleet.configuration([1, 2, 3, 4]))
        fleet.settle()
        fleet.crash(1)
        fleet.elect(4)
        #expect(fleet.leaders == [4])
    }

    @Test func `who has a later configuration than the sender's does not believe that it was removed`() {
        let fleet = fleetWithoutFour()
        for index in [0, 1, 2] as [LogIndex] {
            fleet.step(2, .message(.removed(Removed(term: 1, committedIndex: index)), from: Fleet.uid(4)))
        }
        fleet.crash(1)
        #expect(fleet[2].deadline != nil)
    }

    @Test func `a follower that hears its leader refuses a stranger, one that hears none votes by the usual rules`() {
        let fleet = fleetWithoutFour()
        let request = VoteRequest(kind: .vote, term: 9, lastIndex: 9, lastTerm: 9)
        fleet.step(2, .message(.voteRequest(request), from: Fleet.uid(4)))
        #expect(fleet[2].term == 1)
        fleet.step(2, .peerDown(Fleet.uid(1)))
        fleet.step(2, .message(.voteRequest(request), from: Fleet.uid(4)))
        #expect(fleet[2].hardState == HardState(term: 9, vote: Fleet.uid(4)))
    }
}
