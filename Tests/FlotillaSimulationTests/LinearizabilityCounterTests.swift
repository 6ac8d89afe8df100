import FlotillaSimulation
import Testing

@Suite("The linearizability of counters")
struct LinearizabilityCounterTests {
    private typealias Entry = Operation<CounterModel.Input, Int64>

    /// A client's operation on the one counter. Without an answer its outcome is unknown.
    private func entry(
        _ client: Int, _ times: ClosedRange<UInt64>, _ input: CounterModel.Input, _ output: Int64?
    ) -> Entry {
        Operation(
            client: client, key: "k", input: input, output: output, invoked: times.lowerBound,
            returned: output == nil ? nil : times.upperBound)
    }

    private func isLinearizable(_ history: [Entry]) -> Bool {
        LinearizabilityChecker(model: CounterModel()).check(history).verdict == .linearizable
    }

    @Test func `explains additions that overlap in either order`() {
        #expect(isLinearizable([entry(1, 0...10, .add(1), 3), entry(2, 0...10, .add(2), 2)]))
        #expect(isLinearizable([entry(1, 0...10, .add(1), 1), entry(2, 0...10, .add(2), 3)]))
        #expect(!isLinearizable([entry(1, 0...10, .add(1), 3), entry(2, 0...10, .add(2), 3)]))
        #expect(!isLinearizable([entry(1, 0...10, .add(1), 3), entry(2, 11...20, .add(2), 2)]))
    }

    @Test(arguments: [1, 3, 0, -1] as [Int64])
    func `finds that an acknowledged addition is missing`(amount: Int64) {
        let history = [entry(1, 0...10, .add(8), 8), entry(1, 11...20, .add(amount), 8 + amount)]
        #expect(isLinearizable(history + [entry(2, 30...40, .get, 8 + amount)]))
        #expect(!isLinearizable(history + [entry(2, 30...40, .get, 8 + (amount == 0 ? 1 : 0))]))
        #expect(!isLinearizable(history + [entry(2, 30...40, .get, 0)]))
    }

    @Test(arguments: [2, 3, -4] as [Int64])
    func `finds that an addition counts twice`(amount: Int64) {
        let history = [entry(1, 0...10, .add(amount), amount), entry(2, 30...40, .get, 2 * amount)]
        #expect(!isLinearizable(history))
        let unknown = [entry(1, 0...10, .add(amount), nil), entry(2, 30...40, .get, 2 * amount)]
        #expect(!isLinearizable(unknown))
    }

    @Test(arguments: [4, 5, -4] as [Int64])
    func `explains an addition of unknown outcome that is seen late, or never`(amount: Int64) {
        let history = [
            entry(1, 0...10, .add(1), 1), entry(2, 5...5, .add(amount), nil), entry(3, 20...30, .get, 1),
        ]
        #expect(isLinearizable(history))
        #expect(isLinearizable(history + [entry(3, 40...50, .add(2), 3 + amount)]))
        #expect(isLinearizable(history + [entry(3, 40...50, .get, 1)]))
    }

    @Test(arguments: [4, 5, -4] as [Int64])
    func `finds an addition of unknown outcome that is seen and then no more`(amount: Int64) {
        let history = [
            entry(1, 0...10, .add(1), 1), entry(2, 5...5, .add(amount), nil),
            entry(3, 20...30, .get, 1 + amount), entry(3, 40...50, .get, 1),
        ]
        #expect(!isLinearizable(history))
        #expect(isLinearizable(history.dropLast()))
    }

    @Test func `finds an addition of unknown outcome that is seen before it was invoked`() {
        #expect(!isLinearizable([entry(1, 20...20, .add(4), nil), entry(2, 0...10, .get, 4)]))
        #expect(isLinearizable([entry(1, 20...20, .add(4), nil), entry(2, 0...20, .get, 4)]))
    }

    @Test func `wraps around`() {
        #expect(isLinearizable([entry(1, 0...10, .add(.max), .max), entry(1, 11...20, .add(1), .min)]))
    }
}
