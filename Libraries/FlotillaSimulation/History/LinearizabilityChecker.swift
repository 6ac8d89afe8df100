/// Says whether a history is linearizable: whether each operation can be given one instant between its invocation and
/// its return such that all answers are those of a single object to which the operations come one by one.
///
/// Linearizability and its locality, by which each object can be checked by itself, are from Herlihy and Wing
/// ("Linearizability: a correctness condition for concurrent objects", 1990). The search is that of Wing and Gong
/// ("Testing and verifying concurrent objects", 1993) with the memory of Lowe ("Testing for linearizability", 2017);
/// Horn and Kroening ("Faster linearizability checking via P-compositionality", 2015) measured what the division by
/// objects gains.
///
/// An operation that returned at a time comes before those that were invoked after that time; one that was invoked at
/// the very time at which another returned is concurrent with it.
package struct LinearizabilityChecker<Model: SequentialModel> {
    /// An operation on an object of the model.
    package typealias Entry = Operation<Model.Input, Model.Output>

    private let model: Model
    private let limit: Int

    /// A checker against a model that looks at no more than `limit` configurations of each object before it gives up.
    package init(model: Model, limit: Int = 1_000_000) {
        self.model = model
        self.limit = limit
    }

    /// Checks a history, whose operations may stand in any order.
    package func check(_ history: [Entry]) -> LinearizabilityReport {
        LinearizabilityReport(
            parts: partition(history).map { positions in check(positions, of: history, key: history[positions[0]].key) }
        )
    }

    /// Where the operations on each object stand, by the first of each.
    private func partition(_ history: [Entry]) -> [[Int]] {
        var numbers: [String: Int] = [:]
        var parts: [[Int]] = []
        for (position, operation) in history.enumerated() {
            if let number = numbers[operation.key] {
                parts[number].append(position)
            } else {
                numbers[operation.key] = parts.count
                parts.append([position])
            }
        }
        return parts
    }

    private func check(_ positions: [Int], of history: [Entry], key: String) -> LinearizabilityReport.Part {
        var prepared = model
        let operations = prepared.prepare(positions.map { history[$0] })
        var search = LinearizabilitySearch(model: prepared, operations: operations, limit: limit)
        let verdict: LinearizabilityVerdict
        switch search.run() {
        case .found: verdict = .linearizable
        case .givenUp: verdict = .undecided(configurations: search.configurations)
        case .impossible(let end):
            verdict = .violated(violation(at: end, positions, of: history, key: key))
        }
        return LinearizabilityReport.Part(key: key, verdict: verdict, configurations: search.configurations)
    }

    private func violation(
        at end: DeadEnd<Model.State>, _ positions: [Int], of history: [Entry], key: String
    ) -> LinearizabilityViolation {
        let placed = end.placed.map { positions[$0] }
        let unplaced = end.unplaced.map { positions[$0] }
        func lines(_ places: some Sequence<Int>) -> [String] { places.map { "    \(history[$0])" } }
        var text = ["key \(key): \(placed.count) of \(positions.count) operations can be put in order, then none fits"]
        if !placed.isEmpty { text += ["  the last in order:"] + lines(placed.suffix(3)) }
        text += ["  which leaves: \(end.state)", "  one of these had to come next:"] + lines(unplaced.prefix(5))
        if unplaced.count > 5 { text.append("    and \(unplaced.count - 5) more") }
        if let awaited = end.awaited {
            text += ["  but their answers put this one before:"] + lines([positions[awaited]])
        }
        return LinearizabilityViolation(
            key: key, placed: placed, unplaced: unplaced, description: text.joined(separator: "\n"))
    }
}
