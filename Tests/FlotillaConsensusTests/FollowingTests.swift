import FlotillaConsensus
import FlotillaWire
import Testing

@Suite struct FollowingTests {
    /// Sends server 1 entries behind a position, as the leader of a term, with the terms that `text` lists.
    private func append(
        _ fleet: Fleet, term: Term, after previous: LogIndex, of previousTerm: Term, _ text: String,
        commit: LogIndex = 0, from leader: Int = 2
    ) {
        let entries = Fleet.terms(text).enumerated().map { offset, term in
            SimulatedEntry(term: term, id: -Int(term.rawValue) * 1_000 - Int(previous.rawValue) - offset)
        }
        let message = AppendEntries(
            term: term, previousIndex: previous, previousTerm: previousTerm, commitIndex: commit, count: entries.count)
        fleet.step(
            1,
            .appendEntries(
                message, from: Fleet.uid(leader), terms: entries.runs(after: previous), configurations: []),
            entries: entries)
    }

    private func lastOutcome(_ fleet: Fleet) -> AppendReply.Outcome? {
        if case .appendReply(let reply)? = fleet.sent.last?.message { reply.outcome } else { nil }
    }

    @Test func `a message that comes again, or late and shorter, removes nothing`() {
        let fleet = Fleet(3)
        append(fleet, term: 1, after: 0, of: 0, "1 1 1 1")
        append(fleet, term: 1, after: 0, of: 0, "1 1 1 1")
        append(fleet, term: 1, after: 0, of: 0, "1 1")
        append(fleet, term: 1, after: 2, of: 1, "")
        #expect(fleet.log(of: 1) == "1 1 1 1")
        #expect(fleet[1].logEpoch == .zero)
        #expect(fleet.sent.count == 4, "each is answered")
        #expect(lastOutcome(fleet) == .matched(4))
    }

    @Test func `only an entry of another term takes the tail with it`() {
        let fleet = Fleet(3, logs: [1: "1 1 2 2 2"])
        append(fleet, term: 4, after: 1, of: 1, "1 2 4")
        #expect(fleet.log(of: 1) == "1 1 2 4")
        #expect(fleet[1].logEpoch == LogEpoch(1))
        #expect(lastOutcome(fleet) == .matched(4))
    }

    /// A leader with a shorter log asks without entries. The tail may be all that is left of entries that are on their
    /// way from this very leader, so it is kept; what counts is that no more is acknowledged than the two logs share.
    @Test func `an empty message of a leader with a shorter log is acknowledged no further than it reaches`() {
        let fleet = Fleet(3, logs: [1: "1 1 1 1", 2: "1 1 2", 3: "1 1 2"])
        append(fleet, term: 2, after: 2, of: 1, "", commit: 4)
        #expect(lastOutcome(fleet) == .matched(2))
        #expect(fleet[1].commitIndex == 2, "what follows is not known to be the leader's")
        append(fleet, term: 2, after: 2, of: 1, "2", commit: 3)
        #expect(fleet.log(of: 1) == "1 1 2")
        #expect(fleet[1].commitIndex == 3)
    }

    @Test func `a message of an earlier term is refused with the own term and changes nothing`() {
        let fleet = Fleet(3, logs: [1: "1 1"], terms: [1: 5])
        append(fleet, term: 4, after: 2, of: 1, "4", commit: 3)
        #expect(fleet.sent.map(\.message) == [.appendReply(AppendReply(term: 5, outcome: .stale))])
        #expect(fleet.log(of: 1) == "1 1")
        #expect(fleet[1].leader == nil)
    }

    @Test func `a conflict names the last index that may be shared`() {
        let fleet = Fleet(3, logs: [1: "1 1 2 2 5 5"])
        append(fleet, term: 6, after: 6, of: 3, "6")
        #expect(lastOutcome(fleet) == .conflict(probe: 4, probeTerm: 2, lastIndex: 6))
        append(fleet, term: 6, after: 20, of: 5, "6")
        #expect(lastOutcome(fleet) == .conflict(probe: 6, probeTerm: 5, lastIndex: 6))
    }

    @Test func `two leaders of one term are not both believed`() {
        let fleet = Fleet(3)
        append(fleet, term: 1, after: 0, of: 0, "1", from: 2)
        append(fleet, term: 1, after: 0, of: 0, "1 1", from: 3)
        #expect(fleet.log(of: 1) == "1")
        #expect(fleet[1].leader == Fleet.uid(2))
    }

    @Test func `entries are taken from a sender that is no member`() {
        let fleet = Fleet(3)
        append(fleet, term: 3, after: 0, of: 0, "3", from: 9)
        #expect(fleet.log(of: 1) == "3")
        #expect(fleet[1].leader == Fleet.uid(9))
    }

    @Test func `what does not fit together is dropped`() {
        let fleet = Fleet(3, logs: [1: "1 1"])
        let bad: [(AppendEntries, [TermRun])] = [
            (AppendEntries(term: 2, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: 2), []),
            (AppendEntries(term: 2, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: -1), []),
            (
                AppendEntries(term: 2, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: 1),
                [.init(first: 4, term: 2)]
            ),
            (
                AppendEntries(term: 2, previousIndex: 2, previousTerm: 1, commitIndex: 0, count: 1),
                [.init(first: 3, term: 3)]
            ),
            (AppendEntries(term: 2, previousIndex: 0, previousTerm: 1, commitIndex: 0, count: 0), []),
            (
                AppendEntries(term: 2, previousIndex: LogIndex(.max), previousTerm: 1, commitIndex: 0, count: 1),
                [.init(first: 0, term: 2)]
            ),
            (AppendEntries(term: Term(.max), previousIndex: 0, previousTerm: 0, commitIndex: 0, count: 0), []),
        ]
        for (message, terms) in bad {
            fleet.step(1, .appendEntries(message, from: Fleet.uid(2), terms: terms, configurations: []))
        }
        #expect(fleet.sent.isEmpty)
        #expect(fleet[1].term == 1)
    }
}
