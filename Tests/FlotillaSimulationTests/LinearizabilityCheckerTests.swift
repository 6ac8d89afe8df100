import FlotillaSimulation
import Testing

@Suite("The linearizability checker")
struct LinearizabilityCheckerTests {
    private typealias Entry = Operation<RegisterModel.Input, RegisterModel.Output>

    private func put(_ value: UInt64, _ key: String, _ times: ClosedRange<UInt64>) -> Entry {
        Operation(
            client: 1, key: key, input: .put(value), output: .stored(index: nil), invoked: times.lowerBound,
            returned: times.upperBound)
    }

    private func get(_ value: UInt64?, _ key: String, _ times: ClosedRange<UInt64>) -> Entry {
        Operation(
            client: 2, key: key, input: .get, output: value.map { .value($0, index: nil) } ?? .absent,
            invoked: times.lowerBound, returned: times.upperBound)
    }

    private let checker = LinearizabilityChecker(model: RegisterModel())

    @Test func `finds nothing wrong with nothing`() {
        #expect(checker.check([]).verdict == .linearizable)
    }

    @Test func `takes operations that touch for concurrent`() {
        #expect(checker.check([put(1, "a", 0...10), get(nil, "a", 10...20)]).verdict == .linearizable)
        #expect(checker.check([put(1, "a", 0...10), get(nil, "a", 11...20)]).verdict != .linearizable)
        #expect(checker.check([put(1, "a", 10...10), get(nil, "a", 10...10)]).verdict == .linearizable)
    }

    @Test func `finds and names the one object of many that is wrong`() {
        var history: [Entry] = []
        for key in 0..<20 {
            history.append(put(1, "key\(key)", 0...10))
            history.append(get(key == 13 ? nil : 1, "key\(key)", 20...30))
        }
        let report = checker.check(history)
        #expect(report.parts.map(\.key) == (0..<20).map { "key\($0)" })
        #expect(report.violations.map(\.key) == ["key13"])
        #expect(report.violations.first?.placed == [26])
        #expect(report.violations.first?.unplaced == [27])
        #expect(report.verdict == report.parts[13].verdict)
    }

    @Test func `explains a violation in a few lines`() {
        let history = [
            put(1, "a", 0...10), put(2, "b", 0...10), put(3, "a", 12...20), get(3, "a", 21...22), get(1, "a", 25...30),
        ]
        #expect(
            checker.check(history).violations.map(\.description) == [
                """
                key a: 3 of 4 operations can be put in order, then none fits
                  the last in order:
                    client 1, 0..10: put 1 -> stored
                    client 1, 12..20: put 3 -> stored
                    client 2, 21..22: get -> 3
                  which leaves: 3, put at an unknown index
                  one of these had to come next:
                    client 2, 25..30: get -> 1
                """
            ])
    }

    @Test func `says when it gives up`() {
        // Each order of the puts is possible, none explains the read.
        var history = (1...8).map { put($0, "a", 0...10) } + (1...8).map { get($0, "a", 0...10) }
        history += [get(nil, "a", 20...30), put(1, "b", 0...10)]
        let hasty = LinearizabilityChecker(model: RegisterModel(), limit: 50).check(history)
        #expect(hasty.verdict == .undecided(configurations: 50))
        #expect(hasty.parts[0].configurations == 50)
        #expect(hasty.parts[1].verdict == .linearizable)
        #expect(checker.check(history).violations.count == 1)
    }

    @Test func `names a violation rather than an object it gave up`() {
        var history = (1...8).map { put($0, "a", 0...10) } + [get(nil, "a", 20...30)]
        history += [put(1, "b", 0...10), get(nil, "b", 20...30)]
        let hasty = LinearizabilityChecker(model: RegisterModel(), limit: 5).check(history)
        #expect(hasty.parts[0].verdict == .undecided(configurations: 5))
        #expect(hasty.verdict == hasty.parts[1].verdict)
        #expect(hasty.violations.map(\.key) == ["b"])
    }
}
