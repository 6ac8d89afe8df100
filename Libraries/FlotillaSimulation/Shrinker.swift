/// Makes a plan that fails smaller: leaves out faults as long as the same rule is broken, first many at once, then
/// fewer (delta debugging: Zeller and Hildebrandt 2002).
package struct Shrinker {
    private let plan: Plan
    private let fails: (Plan) -> Bool
    private var runsLeft: Int

    /// - Parameters:
    ///   - plan: one that fails.
    ///   - runs: how many runs it may cost at most.
    ///   - fails: whether a plan fails in the same way.
    package init(_ plan: Plan, runs: Int = 300, fails: @escaping (Plan) -> Bool) {
        self.plan = plan
        self.fails = fails
        runsLeft = runs
    }

    /// Looks for faults without which the run of a plan breaks the same rule.
    package init(_ plan: Plan, breaking rule: Violation.Rule) {
        self.init(plan) { World($0).run()?.rule == rule }
    }

    /// The smallest plan that was found.
    package mutating func shrink() -> Plan {
        var kept = plan.faults.map(\.number)
        var size = max(1, kept.count / 2)
        while size >= 1, !kept.isEmpty {
            var start = 0
            while start < kept.count {
                let without = Array(kept[..<start] + kept[min(start + size, kept.count)...])
                if stillFails(without) { kept = without } else { start += size }
                if runsLeft == 0 { return plan.keeping(Set(kept)) }
            }
            size /= 2
        }
        return plan.keeping(Set(kept))
    }

    private mutating func stillFails(_ numbers: [Int]) -> Bool {
        guard runsLeft > 0 else { return false }
        runsLeft -= 1
        return fails(plan.keeping(Set(numbers)))
    }
}
