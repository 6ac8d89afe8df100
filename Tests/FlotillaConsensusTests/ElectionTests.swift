import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct ElectionTests {
    @Test func `a server that is told to campaign leads its first term`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        #expect(fleet.leaders == [1])
        #expect(fleet[1].term == 1)
        #expect(fleet[1].readyToServe)
        for number in 1...3 {
            #expect(fleet[number].leader == Fleet.uid(1))
            #expect(fleet.log(of: number) == "1")
            #expect(fleet[number].commitIndex == 1)
        }
        #expect(fleet.notes[1]?.contains(.roleChanged(.leader)) == true)
        #expect(fleet.notes[2]?.last == .leaderChanged(Fleet.uid(1), term: 1))
    }

    @Test func `a brand-new server does not campaign by itself for a long time`() {
        let fleet = Fleet(3)
        fleet.advance(by: .milliseconds(4_999))
        #expect(fleet.sent.isEmpty)
        fleet.advance(by: .seconds(6))
        #expect(!fleet.sent.isEmpty)
    }

    @Test func `a recovered server campaigns within two election timeouts`() {
        let fleet = Fleet(3, logs: [1: "1 1", 2: "1 1", 3: "1 1"])
        fleet.advance(by: .milliseconds(499))
        #expect(fleet.sent.isEmpty)
        fleet.advance(by: .milliseconds(501))
        #expect(!fleet.sent.isEmpty)
    }

    @Test func `a single voter elects itself and commits when its own disk has it`() {
        let fleet = Fleet(1)
        fleet.heldDisks = [1]
        fleet.step(1, .triggerElection)
        #expect(fleet[1].role == .candidate)
        fleet.sync(1)
        #expect(fleet[1].role == .leader)
        fleet.sync(1)
        #expect(fleet[1].readyToServe)
        fleet.propose(3, at: 1)
        #expect(fleet[1].commitIndex == 1)
        fleet.sync(1)
        #expect(fleet[1].commitIndex == 4)
        #expect(fleet.sent.isEmpty)
        #expect(fleet[1].deadline == nil)
    }

    @Test func `a single voter waits for nobody after a restart`() {
        let fleet = Fleet(1, logs: [1: "1 1"])
        fleet.advance(by: .zero)
        #expect(fleet[1].role == .leader)
        let several = Fleet(3, logs: [1: "1 1", 2: "1 1", 3: "1 1"])
        several.advance(by: .zero)
        #expect((1...3).allSatisfy { several[$0].role == .follower })
    }

    @Test func `a log that ends in an earlier term, or is shorter, gets no vote`() {
        let fleet = Fleet(3, logs: [1: "1 1 1 1", 2: "1 2", 3: "1 2 2"], terms: [1: 2])
        fleet.campaign(3)
        for shorter in [1, 2] {
            fleet.crash(3)
            fleet.restart(3)
            #expect(fleet.log(of: shorter) == "1 2 2 3")
        }
        let behind = Fleet(3, logs: [1: "1 1 1 1", 2: "1 2", 3: "1 2 2"], terms: [1: 2])
        for number in [1, 2] {
            behind.crash(number == 1 ? 2 : 1)
            behind.step(number, .triggerElection)
            behind.settle()
            #expect(behind[number].role == .preCandidate)
            behind.restart(number == 1 ? 2 : 1)
        }
    }

    @Test func `the trigger has no effect on a leader or a non-voter`() {
        let fleet = Fleet(3, nonVoters: [3])
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.step(1, .triggerElection)
        fleet.step(3, .triggerElection)
        fleet.settle()
        #expect(fleet.sent.count == before)
        #expect(fleet.leaders == [1])
        fleet.crash(1)
        fleet.step(3, .triggerElection)
        #expect(fleet[3].role == .follower)
        #expect(fleet[3].deadline == nil, "a non-voter never campaigns")
    }

    @Test func `a lost leader is replaced within a short random delay`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(1)
        let lost = fleet.now
        for _ in 0..<3 where fleet.leaders.isEmpty {
            guard let next = fleet.nextDeadline else { break }
            fleet.fire(next.number)
            fleet.settle()
        }
        #expect(fleet.leaders.count == 1)
        #expect(fleet.now - lost <= .milliseconds(60))
    }

    @Test func `a candidate whose term has passed gives way`() {
        let fleet = Fleet(3)
        fleet.loses = { $0.message.isVoteReply }
        fleet.step(2, .triggerElection)
        fleet.settle()
        fleet.loses = { _ in false }
        fleet.elect(1)
        #expect(fleet[2].role == .follower)
        #expect(fleet[2].leader == Fleet.uid(1))
    }

    @Test func `a voter that comes up during a campaign is asked then`() {
        let fleet = Fleet(3)
        fleet.isolate(1)
        fleet.step(1, .triggerElection)
        fleet.lose()
        fleet.heal()
        fleet.settle()
        #expect(fleet.leaders == [1])
    }

    @Test func `a candidate whose requests get lost asks again in the same campaign`() {
        let fleet = Fleet(3)
        fleet.loses = { $0.message.isVoteRequest }
        fleet.step(1, .triggerElection)
        fleet.settle()
        fleet.loses = { _ in false }
        fleet.advance(by: fleet.settings.electionTimeout / 4)
        fleet.settle()
        #expect(fleet.leaders == [1])
        #expect(fleet[1].term == 1)
    }

    @Test func `a candidate asks only those again who have not granted its vote`() {
        let fleet = Fleet(5)
        fleet.loses = { $0.message.isVoteRequest && $0.to > 2 }
        fleet.step(1, .triggerElection)
        fleet.settle()
        let before = fleet.sent.count
        fleet.advance(by: fleet.settings.electionTimeout / 4)
        let asked = fleet.sent[before...].filter { $0.from == 1 && $0.message.isVoteRequest }.map(\.to)
        #expect(asked.sorted() == [3, 4, 5])
    }
}
