import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct TransferTests {
    private func transfer(_ fleet: Fleet, to target: Int, within limit: Duration = .seconds(5)) {
        fleet.step(1, .transferLeadership(to: Fleet.uid(target), giveUpAt: fleet.now + limit))
    }

    private func endings(_ fleet: Fleet, _ number: Int = 1) -> [TransferOutcome] {
        (fleet.notes[number] ?? []).compactMap { if case .transferEnded(let outcome) = $0 { outcome } else { nil } }
    }

    private func elected(_ count: Int = 3, nonVoters: Set<Int> = []) -> Fleet {
        let fleet = Fleet(count, nonVoters: nonVoters)
        fleet.elect(1)
        return fleet
    }

    @Test func `the target leads, without a pre-vote and though the others hear their leader`() {
        let fleet = elected()
        let before = fleet.sent.count
        transfer(fleet, to: 2)
        fleet.settle()
        #expect(fleet.leaders == [2])
        #expect(fleet[2].term == 2)
        #expect(endings(fleet) == [.completed(by: Fleet.uid(2))])
        let requests = fleet.sent[before...].compactMap { envelope -> VoteRequest? in
            if case .voteRequest(let request) = envelope.message { request } else { nil }
        }
        #expect(requests.count == 2)
        #expect(requests.allSatisfy { $0.kind == .transfer && $0.term == 2 })
        #expect(fleet[1].role == .follower)
        #expect(fleet[1].deadline == nil)
    }

    @Test func `proposals are refused with the target's name until it is over`() {
        let fleet = elected()
        transfer(fleet, to: 2)
        #expect(fleet.refusal(at: 1) == .transferring(to: Fleet.uid(2)))
        #expect(fleet[1].transferTarget == Fleet.uid(2))
        fleet.settle()
        #expect(fleet.refusal(at: 1) == .notLeader(leader: Fleet.uid(2)))
    }

    @Test func `the leader goes on after an election timeout when nothing came of it`() {
        let fleet = elected()
        transfer(fleet, to: 2)
        fleet.lose()
        fleet.advance(by: .milliseconds(499))
        #expect(fleet.refusal(at: 1) != nil)
        fleet.advance(by: .milliseconds(1))
        #expect(endings(fleet) == [.timedOut])
        #expect(fleet.propose(at: 1) == 2)
        #expect(fleet[1].role == .leader)
    }

    @Test func `the target is asked only when it has the whole log`() {
        let fleet = elected()
        fleet.heldDisks = [2]
        fleet.propose(5, at: 1)
        fleet.settle()
        transfer(fleet, to: 2)
        fleet.settle()
        #expect(fleet.leaders == [1])
        fleet.sync(2)
        fleet.heldDisks = []
        fleet.settle()
        #expect(fleet.leaders == [2])
        #expect(endings(fleet) == [.completed(by: Fleet.uid(2))])
    }

    @Test func `a target that does not catch up in time is not asked`() {
        let fleet = elected()
        fleet.crash(2)
        fleet.propose(5, at: 1)
        fleet.settle()
        transfer(fleet, to: 2, within: .seconds(2))
        fleet.advance(by: .seconds(1))
        #expect(endings(fleet).isEmpty)
        fleet.advance(by: .seconds(1))
        #expect(endings(fleet) == [.notUpToDate])
        #expect(fleet.propose(at: 1) == 7)
    }

    @Test func `what can't be is refused at once`() {
        let fleet = elected(4, nonVoters: [4])
        transfer(fleet, to: 1)
        transfer(fleet, to: 9)
        transfer(fleet, to: 4)
        #expect(endings(fleet) == [.refused(.alreadyLeader), .refused(.unknownMember), .refused(.nonVoter)])
        transfer(fleet, to: 2)
        transfer(fleet, to: 3)
        #expect(endings(fleet).last == .refused(.transferInProgress))
        fleet.step(3, .transferLeadership(to: Fleet.uid(2), giveUpAt: fleet.now))
        #expect(endings(fleet, 3) == [.refused(.notLeader)])
    }

    @Test func `voters honour a transfer only for the term after their leader's, and still look at the log`() {
        let fleet = elected()
        fleet.propose(2, at: 1)
        fleet.settle()
        let requests = [
            VoteRequest(kind: .transfer, term: 3, lastIndex: 9, lastTerm: 9),
            VoteRequest(kind: .vote, term: 2, lastIndex: 9, lastTerm: 9),
            VoteRequest(kind: .transfer, term: 1, lastIndex: 9, lastTerm: 9),
        ]
        for request in requests {
            fleet.step(3, .message(.voteRequest(request), from: Fleet.uid(2)))
            #expect(fleet[3].leader == Fleet.uid(1))
            #expect(fleet[3].term == 1)
        }
        let behind = VoteRequest(kind: .transfer, term: 2, lastIndex: 1, lastTerm: 1)
        fleet.step(3, .message(.voteRequest(behind), from: Fleet.uid(2)))
        #expect(fleet[3].hardState == HardState(term: 2, vote: nil))
    }

    @Test func `a request to campaign is heeded only from the leader of this term`() {
        let fleet = elected()
        fleet.step(2, .message(.timeoutNow(TimeoutNow(term: 1)), from: Fleet.uid(3)))
        fleet.step(2, .message(.timeoutNow(TimeoutNow(term: 0)), from: Fleet.uid(1)))
        fleet.step(2, .message(.timeoutNow(TimeoutNow(term: 2)), from: Fleet.uid(1)))
        #expect(fleet[2].role == .follower)
        #expect(fleet[2].term == 1)
    }
}
