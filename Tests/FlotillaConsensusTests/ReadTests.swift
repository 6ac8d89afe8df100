import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct ReadTests {
    private func elected(_ count: Int = 3) -> Fleet {
        let fleet = Fleet(count)
        fleet.elect(1)
        fleet.notes = [:]
        return fleet
    }

    @Test func `a query is answered after a majority has confirmed the leader, without an entry`() {
        let fleet = elected()
        fleet.propose(4, at: 1)
        fleet.settle()
        fleet.step(1, .read(token: 7))
        #expect(fleet.notes[1] == nil)
        fleet.settle()
        #expect(fleet.notes[1] == [.readReady(token: 7, index: 5)])
        #expect(fleet.log(of: 1) == "1 1 1 1 1")
    }

    @Test func `a single voter answers at once`() {
        let fleet = elected(1)
        fleet.step(1, .read(token: 7))
        fleet.flush(1)
        #expect(fleet.notes[1] == [.readReady(token: 7, index: 1)])
    }

    @Test func `queries that wait share one round, and those that come during a round wait for the next`() {
        let fleet = elected()
        fleet.step(1, .read(token: 1))
        fleet.step(1, .read(token: 2))
        fleet.flush(1)
        fleet.step(1, .read(token: 3))
        fleet.flush(1)
        #expect(fleet.network.filter { $0.message.isReadRound }.count == 2, "one round to two voters")
        fleet.deliverRound()
        let answers = fleet.take { $0.message.isReadRoundReply }
        fleet.deliver(answers[0])
        #expect(fleet.notes[1] == [.readReady(token: 1, index: 1), .readReady(token: 2, index: 1)])
        fleet.deliver(answers[1])
        #expect(fleet.notes[1]?.count == 2, "the late answer to the first round says nothing about the second")
        fleet.settle()
        #expect(fleet.notes[1]?.last == .readReady(token: 3, index: 1))
    }

    @Test func `a minority answers nothing, and the same query is answered when the majority is back`() {
        let fleet = elected()
        fleet.isolate(1)
        fleet.step(1, .read(token: 7))
        fleet.settle()
        #expect(fleet.notes[1] == nil)
        fleet.heal()
        fleet.settle()
        #expect(fleet.notes[1] == [.readReady(token: 7, index: 1)])
    }

    @Test func `a query at a new leader waits for the noop of its term`() {
        let fleet = elected()
        fleet.propose(2, at: 1)
        fleet.loses = { $0.message.isCommitNotice }
        fleet.settle()
        fleet.crash(1)
        fleet.loses = { $0.message.isAppendEntries }
        fleet.campaign(2)
        #expect(!fleet[2].readyToServe)
        fleet.step(2, .read(token: 7))
        fleet.settle()
        #expect(
            fleet.notes[2]?.last == .readReady(token: 7, index: 4), "the noop's index, behind all that is committed")
    }

    @Test func `loss of leadership gives queries back`() {
        let fleet = elected()
        fleet.isolate(1)
        fleet.step(1, .read(token: 1))
        fleet.flush(1)
        fleet.step(1, .read(token: 2))
        fleet.advance(by: .milliseconds(500))
        #expect(fleet.notes[1]?.prefix(2) == [.readLost(token: 1), .readLost(token: 2)])
    }

    @Test func `an answer for an earlier leader's round does not count for the new leader`() {
        let fleet = elected(5)
        fleet.step(1, .read(token: 1))
        fleet.flush(1)
        fleet.deliverRound()
        let old = fleet.take { $0.message.isReadRoundReply }
        #expect(old.count == 4)
        fleet.crash(1)
        fleet.elect(2)
        fleet.isolate(2)
        fleet.step(2, .read(token: 2))
        fleet.flush(2)
        for envelope in old {
            fleet.step(2, .message(envelope.message, from: Fleet.uid(envelope.from)))
        }
        #expect(fleet.notes[2]?.contains(.readReady(token: 2, index: 2)) == false)
    }

    @Test func `a deposed leader that does not know it answers no query`() {
        let fleet = elected()
        for number in [2, 3] {
            fleet.cuts.insert([1, number])
            fleet.step(number, .peerDown(Fleet.uid(1)))
        }
        fleet.elect(2)
        fleet.propose(at: 2)
        fleet.settle()
        #expect(fleet.leaders == [1, 2])
        fleet.step(1, .read(token: 1))
        fleet.settle()
        fleet.cuts = []
        fleet.advance(by: .milliseconds(500))
        fleet.settle()
        #expect(fleet.notes[1]?.first == .readLost(token: 1))
        #expect(fleet.leaders == [2])
    }

    @Test func `only voters confirm`() {
        let fleet = Fleet(4, nonVoters: [3, 4])
        fleet.elect(1)
        fleet.notes = [:]
        fleet.isolate(2)
        fleet.step(1, .read(token: 1))
        fleet.settle()
        let round = ReadRound(term: 1, round: 1)
        fleet.step(1, .message(.readRoundReply(round), from: Fleet.uid(3)))
        fleet.step(1, .message(.readRoundReply(round), from: Fleet.uid(4)))
        fleet.step(1, .message(.readRoundReply(round), from: Fleet.uid(9)))
        #expect(fleet.notes[1] == nil)
    }

    @Test func `a round whose messages were lost is sent again after an election timeout`() {
        let fleet = elected()
        fleet.step(1, .read(token: 1))
        fleet.flush(1)
        fleet.lose()
        fleet.advance(by: .milliseconds(500))
        #expect(fleet.network.filter { $0.message.isReadRound }.count == 2)
        fleet.settle()
        #expect(fleet.notes[1] == [.readReady(token: 1, index: 1)])
        #expect(fleet[1].deadline == nil)
    }

    @Test func `a follower asks the leader for an index`() {
        let fleet = elected()
        fleet.propose(4, at: 1)
        fleet.settle()
        fleet.step(2, .read(token: 7))
        #expect(fleet.notes[2] == nil)
        fleet.settle()
        #expect(fleet.notes[2] == [.readReady(token: 7, index: 5)])
    }

    @Test func `a follower gives a query back when it knows no leader or loses it`() {
        let fleet = elected()
        fleet.step(2, .read(token: 1))
        fleet.step(2, .peerDown(Fleet.uid(1)))
        #expect(fleet.notes[2]?.first == .readLost(token: 1))
        fleet.step(2, .read(token: 2))
        #expect(fleet.notes[2]?.last == .readLost(token: 2))
        fleet.settle()
        #expect(fleet.notes[2]?.contains(.readReady(token: 1, index: 1)) == false, "the late answer is not used")
    }

    @Test func `a follower's query comes back when the server it asked does not lead`() {
        let fleet = elected()
        fleet.step(2, .read(token: 1))
        fleet.isolate(1)
        fleet.cuts = []
        fleet.advance(by: .milliseconds(500))
        fleet.settle()
        #expect(fleet.notes[2]?.contains(.readLost(token: 1)) == true)
    }

    /// The request was on its way when the follower crashed. Its answer is as old as the request, and the follower that
    /// came back may have asked for something newer meanwhile.
    @Test func `a request from before a crash does not answer a query from after it`() {
        let fleet = elected()
        fleet.step(2, .read(token: 1))
        let old = fleet.take { if case .readIndexRequest = $0.message { true } else { false } }
        fleet.crash(2)
        fleet.restart(2)
        fleet.settle()
        for envelope in old { fleet.deliver(envelope) }
        fleet.deliverRound()
        fleet.deliverRound()
        let reply = fleet.take { if case .readIndexReply = $0.message { true } else { false } }
        #expect(reply.count == 1)
        fleet.propose(5, at: 1)
        fleet.settle()
        fleet.step(2, .read(token: 2))
        for envelope in reply { fleet.deliver(envelope) }
        #expect(fleet.notes[2]?.contains(.readReady(token: 2, index: 1)) != true)
        fleet.settle()
        #expect(fleet.notes[2]?.last == .readReady(token: 2, index: 6))
    }
}
