import FlotillaSimulation
import Testing

/// Holds the checker against one that tries everything, on many small histories, good and bad.
@Suite("The linearizability checker and one that tries all orders")
struct LinearizabilityCrossCheckTests {
    @Test(arguments: [0, 300, 700, 1000])
    func `agree on registers`(indexPerMille: Int) {
        expectAgreement(
            of: RegisterModel(), on: HistoryRegister(indexPerMille: indexPerMille), seed: UInt64(indexPerMille)
        ) { BruteForce(object: PlainRegister($0), history: $0).isLinearizable() }
    }

    @Test(arguments: [HistoryCounter.Amounts.powersOfTwo, .small, .signed])
    func `agree on counters`(amounts: HistoryCounter.Amounts) {
        expectAgreement(of: CounterModel(), on: HistoryCounter(amounts: amounts), seed: 11) {
            BruteForce(object: PlainCounter(), history: $0).isLinearizable()
        }
    }

    @Test(arguments: [0, 500, 1000])
    func `agree on lists`(lengthPerMille: Int) {
        expectAgreement(
            of: ListModel(), on: HistoryList(lengthPerMille: lengthPerMille), seed: UInt64(lengthPerMille)
        ) { BruteForce(object: PlainList(), history: $0).isLinearizable() }
    }

    private func expectAgreement<Model: SequentialModel, Object: HistoryObject>(
        of model: Model, on object: Object, seed: UInt64,
        plain: ([Operation<Model.Input, Model.Output>]) -> Bool
    ) where Object.Input == Model.Input, Object.Output == Model.Output {
        var randomness = Randomness(seed: seed)
        let checker = LinearizabilityChecker(model: model)
        var good = 0
        var bad = 0
        for _ in 0..<2_000 {
            let maker = HistoryMaker(
                clients: randomness.number(1...4), operations: randomness.number(1...7),
                unknownPerMille: randomness.pick([0, 200, 500]), pace: randomness.pick([2, 6, 20]))
            let history = maker.makeSpoiled(object, &randomness)
            let expected = plain(history)
            let report = checker.check(history)
            if expected { good += 1 } else { bad += 1 }
            if (report.verdict == .linearizable) != expected {
                let lines = history.sorted { $0.invoked < $1.invoked }.map { "\($0)" }.joined(separator: "\n")
                Issue.record("all orders say \(expected), the checker \(report.verdict)\n\(lines)")
                return
            }
        }
        #expect(good > 500)
        #expect(bad > 300)
    }
}
