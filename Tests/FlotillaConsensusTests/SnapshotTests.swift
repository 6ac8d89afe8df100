import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct SnapshotTests {
    private func offers(_ fleet: Fleet, to number: Int) -> [InstallSnapshot] {
        fleet.sent.filter { $0.to == number }.compactMap {
            if case .installSnapshot(let offer) = $0.message { offer } else { nil }
        }
    }

    /// A fleet in which server 3 is far behind a leader that has cut its log.
    private func fleetWithStraggler() -> Fleet {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(3)
        fleet.propose(5, at: 1)
        fleet.settle()
        fleet.compact(1)
        return fleet
    }

    @Test func `a follower whose next entry is in the log no more is brought up by a snapshot`() {
        let fleet = fleetWithStraggler()
        fleet.heal()
        fleet.settle()
        #expect(offers(fleet, to: 3).map(\.index) == [6])
        #expect(fleet[3].commitIndex == 6 && fleet[3].logTerms.baseIndex == 6)
        fleet.propose(2, at: 1)
        fleet.settle()
        #expect(fleet.logs[3]?.entries == fleet.logs[1]?.entries)
        #expect(fleet[3].commitIndex == 8)
    }

    @Test func `nothing else is sent to a follower that waits for a snapshot`() {
        let fleet = fleetWithStraggler()
        fleet.loses = { $0.message.isInstallSnapshot }
        fleet.heal()
        fleet.settle()
        let before = fleet.sent.count
        fleet.propose(3, at: 1)
        fleet.settle()
        fleet.advance(by: .seconds(3))
        #expect(fleet.sentSince(before, from: 1).allSatisfy { !$0.isInstallSnapshot })
        #expect(fleet.sent[before...].filter { $0.from == 1 && $0.to == 3 }.isEmpty)
        fleet.loses = { _ in false }
        fleet.step(1, .snapshotEnded(Fleet.uid(3)))
        fleet.flush(1)
        fleet.settle()
        #expect(fleet[3].commitIndex == 9)
    }

    @Test func `a log that parts from the snapshot is superseded whole, and late notices confirm nothing of it`() {
        let fleet = Fleet(3, logs: [1: "1 2 2 2", 2: "1 2 2 2", 3: "1 1 1 1 1 1"])
        fleet.isolate(3)
        fleet.elect(1)
        fleet.settle()
        fleet.compact(1)
        fleet.heal()
        fleet.settle()
        #expect(fleet.log(of: 3) == fleet.log(of: 1))
        #expect(fleet[3].logEpoch > .zero)
        #expect(fleet[3].durableIndex == 5)
    }

    @Test func `a follower that has the snapshot's last entry keeps what follows`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(4, at: 1)
        fleet.settle()
        fleet.loses = { $0.message.isCommitNotice }
        fleet.propose(2, at: 1)
        fleet.settle()
        let entries = fleet.logs[2]?.entries
        let commit = fleet[2].commitIndex
        #expect(commit < 7)
        fleet.step(2, .message(.installSnapshot(.init(term: 1, index: 7, indexTerm: 1)), from: Fleet.uid(1)))
        #expect(fleet[2].commitIndex == 7 && fleet[2].logEpoch == .zero)
        #expect(fleet.logs[2]?.entries == entries)
    }

    @Test func `a snapshot of what is committed already is answered with how far the log goes`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.propose(4, at: 1)
        fleet.settle()
        let before = fleet.sent.count
        fleet.step(2, .message(.installSnapshot(.init(term: 1, index: 3, indexTerm: 1)), from: Fleet.uid(1)))
        guard case .appendReply(let reply)? = fleet.sentSince(before, from: 2).first else {
            Issue.record("no answer")
            return
        }
        #expect(reply.outcome == .matched(5))
    }

    @Test func `an offer of an earlier term is refused, and one that can't be is ignored`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.crash(1)
        fleet.elect(2)
        let before = fleet.sent.count
        fleet.step(3, .message(.installSnapshot(.init(term: 1, index: 9, indexTerm: 1)), from: Fleet.uid(1)))
        guard case .appendReply(let reply)? = fleet.sentSince(before, from: 3).first else {
            Issue.record("no answer")
            return
        }
        #expect(reply.outcome == .stale)
        fleet.step(3, .message(.installSnapshot(.init(term: 2, index: 9, indexTerm: 3)), from: Fleet.uid(2)))
        fleet.step(
            3, .message(.installSnapshot(.init(term: 2, index: LogIndex(.max), indexTerm: 2)), from: Fleet.uid(2)))
        #expect(fleet.sentSince(before, from: 3).count == 1)
    }

    @Test func `entries that are not in memory are fetched before they are sent`() {
        let fleet = Fleet(3)
        fleet.elect(1)
        fleet.isolate(3)
        fleet.propose(20, at: 1)
        fleet.settle()
        fleet.logs[1]?.memoryStart = 20
        fleet.heal()
        fleet.settle()
        #expect(fleet.logs[1]?.fetched == 2)
        #expect(fleet[3].commitIndex == 21)
    }

    @Test func `a restarted server goes on from its snapshot`() {
        let fleet = fleetWithStraggler()
        fleet.propose(1, at: 1)
        fleet.settle()
        fleet.crash(1)
        fleet.restart(1)
        #expect(fleet[1].logTerms.baseIndex == 6 && fleet[1].commitIndex == 6)
        fleet.heal()
        fleet.elect(1)
        #expect(fleet[3].commitIndex == fleet[1].commitIndex && fleet[3].commitIndex > 7)
    }
}

extension ConsensusMessage {
    fileprivate var isInstallSnapshot: Bool { if case .installSnapshot = self { true } else { false } }
}
