import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct ReplicationTests {
    private func appends(_ fleet: Fleet, to number: Int, since position: Int) -> [AppendEntries] {
        fleet.sent[position...].compactMap { envelope in
            guard envelope.to == number, case .appendEntries(let message) = envelope.message else { return nil }
            return message
        }
    }

    @Test func `one turn's proposals go to each follower in one message`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.propose(7, at: 1)
        #expect(appends(fleet, to: 2, since: before).map(\.count) == [7])
        #expect(appends(fleet, to: 3, since: before).map(\.count) == [7])
        fleet.settle()
        #expect(fleet[1].commitIndex == 8)
    }

    @Test func `proposals are sent without waiting for answers, as far as the window allows`() {
        let settings = RaftSettings(appendBytes: 300, followerWindowBytes: 900, followerWindowEntries: 100)
        let fleet = Fleet(3, settings: settings)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.propose(20, at: 1)
        #expect(appends(fleet, to: 2, since: before).map(\.count) == [3, 3, 3])
        #expect(fleet[1].peerOverview[0].inFlightBytes == 900)
        fleet.settle()
        #expect(fleet.log(of: 2) == fleet.log(of: 1))
        #expect(fleet[1].peerOverview[0].inFlightBytes == 0)
    }

    @Test func `the window is bounded in entries, too, and one message always may go`() {
        let settings = RaftSettings(appendBytes: 1_000, followerWindowBytes: 50, followerWindowEntries: 4)
        let fleet = Fleet(3, settings: settings)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.propose(20, at: 1)
        #expect(appends(fleet, to: 2, since: before).map(\.count) == [4])
        fleet.settle()
        #expect(fleet.log(of: 2) == fleet.log(of: 1))
    }

    @Test func `a message without entries asks when a connection comes up`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        let before = fleet.sent.count
        fleet.step(1, .peerDown(Fleet.uid(2)))
        fleet.step(1, .peerUp(Fleet.uid(2)))
        fleet.flush(1)
        #expect(appends(fleet, to: 2, since: before).map(\.count) == [0])
        #expect(fleet[1].peerOverview[0].state == .probe)
        fleet.settle()
        #expect(fleet[1].peerOverview[0].state == .pipeline)
    }

    @Test func `a lost message is sent again after an election timeout`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(2, at: 1)
        fleet.lose()
        #expect(fleet[1].deadline == fleet.now + .milliseconds(500))
        let before = fleet.sent.count
        fleet.advance(by: .milliseconds(500))
        let again = appends(fleet, to: 3, since: before)
        #expect(again.map(\.previousIndex) == [1], "from what is known to match, without asking first")
        #expect(again.map(\.count) == [2])
        fleet.settle()
        #expect(fleet.log(of: 3) == "1 1 1")
        #expect(fleet[1].commitIndex == 3)
        #expect(fleet[1].deadline == nil)
    }

    @Test func `an entry that was appended during a partition is committed after it`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(1)
        fleet.propose(at: 1)
        fleet.settle()
        #expect(fleet[1].commitIndex == 1)
        fleet.heal()
        fleet.settle()
        #expect((1...3).map { fleet[$0].commitIndex } == [2, 2, 2])
    }

    @Test func `an old leader's uncommitted entries give way to the new leader's`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(1)
        fleet.propose(100, at: 1)
        fleet.lose()
        fleet.elect(2)
        fleet.propose(3, at: 2)
        fleet.settle()
        fleet.heal()
        fleet.settle()
        #expect((1...3).map { fleet.log(of: $0) } == Array(repeating: "1 2 2 2 2", count: 3))
        #expect(fleet[1].role == .follower)
    }

    @Test func `answers that come late or twice lower nothing`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(5, at: 1)
        fleet.settle()
        let late: [AppendReply.Outcome] = [
            .matched(2), .conflict(probe: 1, probeTerm: 1, lastIndex: 1), .matched(6), .matched(4),
        ]
        for outcome in late {
            fleet.step(1, .message(.appendReply(AppendReply(term: 1, outcome: outcome)), from: Fleet.uid(2)))
            #expect(fleet[1].peerOverview[0].match == 6)
            #expect(fleet[1].peerOverview[0].state == .pipeline)
        }
        let before = fleet.sent.count
        fleet.settle()
        #expect(fleet.sent.count == before)
    }

    @Test func `an acknowledgement of what was never sent is not believed`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        for index in [99, UInt64.max] {
            let reply = AppendReply(term: 1, outcome: .matched(LogIndex(index)))
            fleet.step(1, .message(.appendReply(reply), from: Fleet.uid(2)))
        }
        #expect(fleet[1].peerOverview[0].match == 1)
    }

    @Test func `a refusal that names an entry of another term makes the leader send from before it`() {
        let fleet = Fleet(3, logs: [1: "1 1 3 3", 2: "1 1 3 3", 3: "1 1 2 2"])
        fleet.elect(1)
        #expect(fleet.log(of: 3) == "1 1 3 3 4")
        let asked = fleet.sent.compactMap { envelope -> LogIndex? in
            guard envelope.to == 3, case .appendEntries(let message) = envelope.message else { return nil }
            return message.previousIndex
        }
        #expect(asked.prefix(2) == [4, 2])
    }

    @Test func `a follower that is down is sent nothing`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(3)
        let before = fleet.sent.count
        fleet.propose(3, at: 1)
        fleet.settle()
        #expect(appends(fleet, to: 3, since: before).isEmpty)
        #expect(fleet[1].commitIndex == 4)
        #expect(fleet[1].deadline == nil)
        fleet.restart(3)
        fleet.settle()
        #expect(fleet.log(of: 3) == fleet.log(of: 1))
        #expect(fleet[3].commitIndex == 4)
    }

    @Test func `only a leader takes proposals`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        #expect(fleet.refusal(at: 2) == .notLeader(leader: Fleet.uid(1)))
        fleet.crash(1)
        #expect(fleet.refusal(at: 2) == .notLeader(leader: nil))
    }
}
