import FlotillaSimulation
import Testing

@Suite("The linearizability of lists")
struct LinearizabilityListTests {
    private typealias Entry = Operation<ListModel.Input, ListModel.Output>

    /// A client's append. Without an answer its outcome is unknown.
    private func append(_ element: UInt64, _ times: ClosedRange<UInt64>, _ output: ListModel.Output?) -> Entry {
        Operation(
            client: 1, key: "k", input: .append(element), output: output, invoked: times.lowerBound,
            returned: output == nil ? nil : times.upperBound)
    }

    /// A client's read.
    private func read(_ elements: [UInt64], _ times: ClosedRange<UInt64>) -> Entry {
        Operation(
            client: 2, key: "k", input: .read, output: .elements(elements), invoked: times.lowerBound,
            returned: times.upperBound)
    }

    private func isLinearizable(_ history: [Entry]) -> Bool {
        LinearizabilityChecker(model: ListModel()).check(history).verdict == .linearizable
    }

    private let done = ListModel.Output.appended(length: nil)

    @Test func `explains a list that grows`() {
        let history = [
            append(1, 0...10, done), append(2, 5...20, .appended(length: 1)), read([2], 6...30),
            read([2, 1], 25...40), append(3, 20...50, .appended(length: 3)),
        ]
        #expect(isLinearizable(history))
    }

    @Test func `finds a hole`() {
        let history = [append(1, 0...10, done), append(2, 11...20, done), append(3, 21...30, done)]
        #expect(isLinearizable(history + [read([1, 2, 3], 31...40)]))
        #expect(!isLinearizable(history + [read([1, 3], 31...40)]))
        #expect(!isLinearizable(history + [read([1, 2], 31...40)]))
    }

    @Test func `finds two reads that differ in the order`() {
        let history = [append(1, 0...10, done), append(2, 0...10, done)]
        #expect(isLinearizable(history + [read([2, 1], 20...30), read([2, 1], 31...40)]))
        #expect(!isLinearizable(history + [read([2, 1], 20...30), read([1, 2], 31...40)]))
    }

    @Test func `finds a list that shrinks`() {
        let history = [append(1, 0...10, done), append(2, 5...100, done)]
        #expect(isLinearizable(history + [read([1], 31...40), read([1, 2], 50...60)]))
        #expect(!isLinearizable(history + [read([1, 2], 31...40), read([1], 50...60)]))
    }

    @Test func `finds an element that is there twice, or that nobody appended`() {
        #expect(!isLinearizable([append(1, 0...10, done), read([1, 1], 20...30)]))
        #expect(!isLinearizable([append(1, 0...0, nil), read([1, 1], 20...30)]))
        #expect(!isLinearizable([append(1, 0...10, done), read([1, 2], 20...30)]))
    }

    @Test func `finds a wrong length`() {
        #expect(!isLinearizable([append(1, 0...10, .appended(length: 2))]))
        #expect(!isLinearizable([append(1, 0...10, .appended(length: 1)), append(2, 0...10, .appended(length: 1))]))
        #expect(!isLinearizable([append(1, 0...10, .appended(length: -1))]))
    }

    @Test func `explains an append of unknown outcome that is seen late, or never`() {
        let history = [append(1, 0...0, nil), append(2, 0...10, done), read([2], 20...30)]
        #expect(isLinearizable(history))
        #expect(isLinearizable(history + [read([2, 1], 40...50)]))
        #expect(isLinearizable(history + [append(3, 40...50, .appended(length: 3))]))
        #expect(!isLinearizable(history + [append(3, 40...50, .appended(length: 4))]))
    }

    @Test func `finds an append of unknown outcome that is seen and then no more, or too early`() {
        let history = [append(1, 0...0, nil), append(2, 0...10, done), read([2, 1], 20...30)]
        #expect(isLinearizable(history))
        #expect(!isLinearizable(history + [read([2], 31...40)]))
        #expect(!isLinearizable([append(1, 31...31, nil), append(2, 0...10, done), read([2, 1], 20...30)]))
    }
}
