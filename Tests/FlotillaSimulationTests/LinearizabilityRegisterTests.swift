import FlotillaSimulation
import Testing

@Suite("The linearizability of registers")
struct LinearizabilityRegisterTests {
    private typealias Entry = Operation<RegisterModel.Input, RegisterModel.Output>

    /// A client's operation on the one register. Without an answer its outcome is unknown.
    private func entry(
        _ client: Int, _ times: ClosedRange<UInt64>, _ input: RegisterModel.Input, _ output: RegisterModel.Output?
    ) -> Entry {
        Operation(
            client: client, key: "k", input: input, output: output, invoked: times.lowerBound,
            returned: output == nil ? nil : times.upperBound)
    }

    private func verdict(_ history: [Entry]) -> LinearizabilityVerdict {
        LinearizabilityChecker(model: RegisterModel()).check(history).verdict
    }

    private func violation(_ history: [Entry]) -> LinearizabilityViolation? {
        guard case .violated(let violation) = verdict(history) else { return nil }
        return violation
    }

    @Test func `explains a read by a put that is still under way`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(2, 2...4, .get, .absent),
            entry(3, 3...6, .get, .value(7, index: 5)),
        ]
        #expect(verdict(history) == .linearizable)
    }

    @Test func `finds a stale read`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(1, 20...30, .put(8), .stored(index: 6)),
            entry(2, 40...50, .get, .value(7, index: 5)),
        ]
        #expect(violation(history)?.placed == [0, 1])
        #expect(violation(history)?.unplaced == [2])
    }

    @Test func `finds a stale read of a key that was put`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: nil)), entry(2, 40...50, .get, .absent),
        ]
        #expect(violation(history)?.unplaced == [1])
    }

    @Test func `finds a read of a value that nobody put`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)), entry(2, 5...50, .get, .value(9, index: nil)),
        ]
        #expect(violation(history)?.unplaced == [1])
    }

    @Test func `finds that one client sees the past of what another has seen`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: nil)),
            entry(1, 20...90, .put(8), .stored(index: nil)),
            entry(2, 30...40, .get, .value(8, index: nil)),
            entry(3, 50...60, .get, .value(7, index: nil)),
        ]
        #expect(violation(history) != nil)
        #expect(verdict([history[0], history[1], history[3]]) == .linearizable)
    }

    @Test func `finds two conditional puts that both succeed on one version`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(2, 20...40, .put(8, ifIndex: 5), .stored(index: 6)),
            entry(3, 20...40, .put(9, ifIndex: 5), .stored(index: 7)),
        ]
        #expect(violation(history)?.unplaced == [2])
    }

    @Test func `finds a lost update`() {
        let history = [
            entry(1, 0...10, .put(7, ifIndex: 0), .stored(index: 5)),
            entry(2, 20...40, .put(8, ifIndex: 5), .stored(index: 6)),
            entry(3, 50...60, .put(9, ifIndex: 5), .conflict(current: 5, index: 7)),
        ]
        #expect(violation(history)?.unplaced == [2])
        #expect(
            verdict([history[0], history[1], entry(3, 50...60, .put(9, ifIndex: 5), .conflict(current: 6, index: 7))])
                == .linearizable)
    }

    @Test func `finds indexes that fall from one put to a later one, and says what was to come first`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 6)), entry(2, 20...30, .put(8), .stored(index: 5)),
        ]
        let found = violation(history)
        #expect(found?.unplaced == [0])
        #expect(found?.description.hasSuffix("client 2, 20..30: put 8 -> stored at index 5") == true)
    }

    @Test func `finds two puts at one index`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)), entry(2, 0...10, .put(8), .stored(index: 5)),
        ]
        #expect(violation(history) != nil)
    }

    @Test func `finds a read that has the index of another put`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)), entry(2, 20...30, .get, .value(7, index: 6)),
        ]
        #expect(violation(history) != nil)
    }

    @Test func `finds a deleted value that comes back`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(1, 20...30, .delete, .deleted(index: 6)),
            entry(2, 40...50, .get, .value(7, index: 5)),
        ]
        #expect(violation(history)?.unplaced == [2])
        #expect(verdict([history[0], history[1], entry(2, 40...50, .get, .absent)]) == .linearizable)
    }

    @Test func `explains a read by a put of unknown outcome, however late`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(2, 20...20, .put(8), nil),
            entry(3, 90...95, .get, .value(7, index: 5)),
            entry(3, 900...950, .get, .value(8, index: 9)),
        ]
        #expect(verdict(history) == .linearizable)
    }

    @Test func `leaves out a put of unknown outcome that nobody sees`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(2, 20...20, .put(8), nil),
            entry(3, 900...950, .get, .value(7, index: 5)),
        ]
        #expect(verdict(history) == .linearizable)
    }

    @Test func `finds a put of unknown outcome that is seen and then no more`() {
        let history = [
            entry(1, 0...10, .put(7), .stored(index: 5)),
            entry(2, 20...20, .put(8), nil),
            entry(3, 30...40, .get, .value(8, index: nil)),
            entry(3, 50...60, .get, .value(7, index: nil)),
        ]
        #expect(violation(history)?.unplaced == [3])
    }

    @Test func `finds a put of unknown outcome that is seen before it was invoked`() {
        let history = [
            entry(2, 20...20, .put(8), nil), entry(3, 10...15, .get, .value(8, index: nil)),
        ]
        #expect(violation(history) != nil)
    }

    @Test func `explains a deletion and a conflict by puts that are seen in no other way`() {
        let deleted = [entry(1, 0...0, .put(7), nil), entry(2, 20...30, .delete, .deleted(index: 6))]
        #expect(verdict(deleted) == .linearizable)
        let conflict = [
            entry(1, 0...0, .put(7), nil), entry(2, 20...30, .put(8, ifIndex: 3), .conflict(current: 4, index: 6)),
        ]
        #expect(verdict(conflict) == .linearizable)
        #expect(violation([conflict[1]]) != nil)
        let backwards = [
            entry(1, 0...0, .put(7), nil), entry(2, 20...30, .put(8, ifIndex: 3), .conflict(current: 9, index: 6)),
        ]
        #expect(violation(backwards) != nil)
    }

    @Test func `finds an answer of the wrong kind`() {
        #expect(violation([entry(1, 0...10, .put(7), .absent)]) != nil)
    }
}
