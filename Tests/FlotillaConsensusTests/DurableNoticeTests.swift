import FlotillaConsensus
import FlotillaWire
import Testing

/// What a follower acknowledges when its disk is behind its log. A notice of the disk that comes after the entries it
/// speaks of were overwritten must not confirm the new ones: etcd's raft and Ra both had this fault.
@Suite struct DurableNoticeTests {
    private func append(
        _ fleet: Fleet, term: Term, after previous: LogIndex, of previousTerm: Term, _ text: String, from leader: Int
    ) {
        let entries = Fleet.terms(text).map { SimulatedEntry(term: $0, id: Int($0.rawValue)) }
        let message = AppendEntries(
            term: term, previousIndex: previous, previousTerm: previousTerm, commitIndex: 0, count: entries.count)
        fleet.step(
            1,
            .appendEntries(message, from: Fleet.uid(leader), terms: entries.runs(after: previous), configurations: []),
            entries: entries)
    }

    private func matched(_ fleet: Fleet) -> [LogIndex] {
        fleet.sent.compactMap { envelope in
            guard case .appendReply(let reply) = envelope.message, case .matched(let index) = reply.outcome else {
                return nil
            }
            return index
        }
    }

    @Test func `a late notice for overwritten entries acknowledges only what was not overwritten`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        append(fleet, term: 1, after: 0, of: 0, "1 1 1 1", from: 2)
        append(fleet, term: 2, after: 2, of: 1, "2 2", from: 3)
        fleet.sync(1, writes: 2)
        #expect(fleet[1].durableIndex == 2, "the notice spoke of four entries, of which two are gone")
        #expect(matched(fleet).isEmpty, "the record of term 2 is not durable yet")
        fleet.sync(1)
        #expect(fleet[1].durableIndex == 4)
        #expect(matched(fleet).last == 4)
        #expect(fleet.sent.allSatisfy { $0.to == 3 }, "only the leader of this term is told")
    }

    @Test func `an overwritten entry of the same index is not confirmed by the notice for the old one (ABA)`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        append(fleet, term: 1, after: 0, of: 0, "1", from: 2)
        append(fleet, term: 2, after: 0, of: 0, "2", from: 3)
        append(fleet, term: 3, after: 0, of: 0, "3", from: 2)
        // The notices of the first two writes come now, whatever became of the third.
        fleet.step(1, .hardStateDurable(HardState(term: 3, vote: nil)))
        fleet.step(1, .entriesDurable(epoch: LogEpoch(0), through: 1))
        fleet.step(1, .entriesDurable(epoch: LogEpoch(1), through: 1))
        #expect(fleet[1].durableIndex == .zero)
        #expect(matched(fleet).isEmpty)
        fleet.step(1, .entriesDurable(epoch: LogEpoch(2), through: 1))
        #expect(matched(fleet) == [1])
    }

    @Test func `a change of term alone makes no notice worthless`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        append(fleet, term: 1, after: 0, of: 0, "1 1", from: 2)
        append(fleet, term: 2, after: 2, of: 1, "2", from: 3)
        #expect(fleet[1].logEpoch == .zero)
        fleet.sync(1)
        #expect(fleet[1].durableIndex == 3)
        #expect(matched(fleet).last == 3)
    }

    @Test func `durable entries that the leader of this term has not confirmed are not acknowledged`() {
        let fleet = Fleet(3, logs: [1: "1 1 1 1 1"])
        append(fleet, term: 2, after: 2, of: 1, "1", from: 2)
        #expect(matched(fleet) == [3])
        #expect(fleet[1].durableIndex == 5)
    }

    @Test func `each notice is answered once, with all that is durable`() {
        let fleet = Fleet(3)
        fleet.heldDisks = [1]
        append(fleet, term: 1, after: 0, of: 0, "1 1", from: 2)
        append(fleet, term: 1, after: 2, of: 1, "1", from: 2)
        #expect(matched(fleet).isEmpty)
        fleet.sync(1)
        #expect(matched(fleet) == [2, 3])
    }
}
