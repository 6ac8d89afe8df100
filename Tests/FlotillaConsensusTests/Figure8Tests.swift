import FlotillaConsensus
import FlotillaWire
import Testing

/// Figure 8 of "In Search of an Understandable Consensus Algorithm": an entry of an earlier term is not committed by
/// being on a majority.
@Suite struct Figure8Tests {
    /// Brings a fleet to (c): S1 leads again, in term 4, and its entry of term 2 is on S1, S2 and S3.
    private func fleetAtC() -> Fleet {
        // One entry a message, so that the entry of term 2 can travel without the one of term 4.
        let fleet = Fleet(5, logs: [1: "1", 2: "1", 3: "1", 4: "1", 5: "1"], settings: RaftSettings(appendBytes: 100))
        // (a) S1 leads term 2 and reaches S2 only.
        fleet.loses = { $0.message.isAppendEntries && $0.to != 2 }
        fleet.elect(1)
        #expect(fleet[1].term == 2)
        #expect((1...5).map { fleet.log(of: $0) } == ["1 2", "1 2", "1", "1", "1"])
        // (b) S1 is gone; S5 is elected by S3 and S4 and appends another entry at index 2.
        fleet.crash(1)
        fleet.loses = { $0.message.isAppendEntries }
        fleet.campaign(5)
        #expect(fleet[5].term == 3)
        #expect(fleet.log(of: 5) == "1 3")
        // (c) S5 is gone; S1 comes back, leads term 4, and gets its entry of term 2 to S3, but not that of term 4.
        fleet.crash(5)
        fleet.lose()
        fleet.restart(1)
        fleet.loses = { [unowned fleet] envelope in
            guard case .appendEntries(let message) = envelope.message else { return false }
            return envelope.to == 4 || (message.lastIndex >= 3 && fleet.log(of: envelope.to) == "1 2")
        }
        fleet.campaign(1)
        // S2 has it since (a), and tells so.
        fleet.step(1, .message(.appendReply(AppendReply(term: 4, outcome: .matched(2))), from: Fleet.uid(2)))
        return fleet
    }

    @Test func `(c) an entry of term 2 on a majority is not committed by the leader of term 4`() {
        let fleet = fleetAtC()
        #expect(fleet[1].term == 4)
        #expect(fleet.log(of: 1) == "1 2 4")
        #expect(fleet.log(of: 2) == "1 2")
        #expect(fleet.log(of: 3) == "1 2")
        let matches = fleet[1].peerOverview.map(\.match)
        #expect(matches[0] == 2 && matches[1] == 2, "S2 and S3 have it, and S1 knows")
        #expect(fleet[1].commitIndex < 2)
    }

    @Test func `(d) S5 may still overwrite it with its entry of term 3`() {
        let fleet = fleetAtC()
        fleet.crash(1)
        fleet.restart(5)
        fleet.lose()
        fleet.loses = { _ in false }
        fleet.campaign(5)
        for number in 2...5 { #expect(fleet.log(of: number) == "1 3 5") }
    }

    @Test func `(e) once an entry of term 4 is on a majority S5 can't be elected`() {
        let fleet = fleetAtC()
        fleet.loses = { $0.to == 4 && $0.message.isAppendEntries }
        fleet.advance(by: .milliseconds(500))
        fleet.settle()
        #expect((1...3).map { fleet.log(of: $0) } == ["1 2 4", "1 2 4", "1 2 4"])
        #expect(fleet[1].commitIndex == 3)
        fleet.crash(1)
        fleet.restart(5)
        fleet.lose()
        fleet.loses = { _ in false }
        for _ in 0..<4 {
            fleet.step(5, .triggerElection)
            fleet.settle()
        }
        #expect(fleet[5].role != .leader)
        fleet.campaign(2)
        for number in 2...5 { #expect(fleet.log(of: number).hasPrefix("1 2 4")) }
    }
}
