import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct CommitTests {
    @Test func `a leader counts itself only with what is durable`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(3)
        fleet.heldDisks = [1]
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 1)
        fleet.sync(1)
        #expect(fleet[1].commitIndex == 2)
    }

    @Test func `what a majority of the others has is committed before the leader's disk has it`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.heldDisks = [1]
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 2)
        #expect(fleet[1].durableIndex == 1)
    }

    @Test func `nothing is committed when the disks of a majority stand still`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.heldDisks = [1, 2]
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 1)
    }

    @Test func `followers learn of the last commit before a pause, and do not answer`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.propose(at: 1)
        fleet.settle()
        #expect((1...3).map { fleet[$0].commitIndex } == [2, 2, 2])
        let messages = fleet.sent[before...].map(\.message)
        #expect(messages.filter(\.isAppendEntries).count == 2)
        #expect(messages.filter(\.isAppendReply).count == 2)
        #expect(messages.filter(\.isCommitNotice).count == 2)
        #expect(messages.count == 6)
    }

    @Test func `a follower that gets entries in the same turn is told by them`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(at: 1)
        fleet.deliverRound()
        let replies = fleet.take(\.message.isAppendReply)
        let before = fleet.sent.count
        for envelope in replies { fleet.step(1, .message(envelope.message, from: Fleet.uid(envelope.from))) }
        fleet.propose(at: 1)
        let messages = fleet.sent[before...].map(\.message)
        #expect(messages.count == 2)
        #expect(messages.allSatisfy { $0.isAppendEntries })
    }

    @Test func `a notice commits no further than the log is known to be the leader's`() {
        let fleet = Fleet(3, logs: [1: "1 1 1", 2: "1 1 1", 3: "1 1 1"])
        fleet.step(1, .message(.commitNotice(CommitNotice(term: 2, commitIndex: 3)), from: Fleet.uid(2)))
        #expect(fleet[1].commitIndex == .zero)
        #expect(fleet[1].leader == Fleet.uid(2))
        let message = AppendEntries(term: 2, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: 0)
        fleet.step(1, .appendEntries(message, from: Fleet.uid(2), terms: [], configurations: []))
        fleet.step(1, .message(.commitNotice(CommitNotice(term: 2, commitIndex: 3)), from: Fleet.uid(2)))
        #expect(fleet[1].commitIndex == 2)
    }
}
