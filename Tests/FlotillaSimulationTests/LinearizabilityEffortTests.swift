import FlotillaSimulation
import Testing

/// The effort on histories as long as those of a simulation, counted in configurations, which no machine changes.
@Suite("The effort of the linearizability checker")
struct LinearizabilityEffortTests {
    private static let maker = HistoryMaker(
        clients: 20, keys: 10, operations: 1_000, unknownPerMille: 100, pace: 1_000)

    @Test func `is about one configuration for each operation when the answers tell the order`() {
        expectEffort(within: 1_600, RegisterModel(), HistoryRegister(indexPerMille: 1_000))
        expectEffort(within: 1_600, CounterModel(), HistoryCounter(amounts: .powersOfTwo))
        expectEffort(within: 1_600, CounterModel(), HistoryCounter(amounts: .small))
        expectEffort(within: 1_600, ListModel(), HistoryList(lengthPerMille: 1_000))
        expectEffort(within: 1_600, ListModel(), HistoryList(lengthPerMille: 0))
    }

    @Test func `is a few configurations for each operation when the answers do not tell the order`() {
        expectEffort(within: 6_000, RegisterModel(), HistoryRegister(indexPerMille: 500))
        expectEffort(within: 6_000, RegisterModel(), HistoryRegister(indexPerMille: 0))
        expectEffort(within: 6_000, CounterModel(), HistoryCounter(amounts: .signed))
    }

    private func expectEffort<Model: SequentialModel, Object: HistoryObject>(
        within limit: Int, _ model: Model, _ object: Object
    ) where Object.Input == Model.Input, Object.Output == Model.Output {
        let checker = LinearizabilityChecker(model: model)
        for seed in 0..<UInt64(10) {
            var randomness = Randomness(seed: seed)
            var history = Self.maker.make(object, &randomness)
            let report = checker.check(history)
            #expect(report.verdict == .linearizable)
            #expect(report.configurations <= limit)
            for _ in 0..<10 {
                let place = randomness.number(0...(history.count - 1))
                history[place].output = history[place].output.map { object.spoiled($0, &randomness) }
            }
            let spoiled = checker.check(history)
            #expect(!spoiled.violations.isEmpty)
            #expect(spoiled.violations.count == spoiled.parts.count { $0.verdict != .linearizable })
            #expect(spoiled.configurations <= limit)
        }
    }
}
