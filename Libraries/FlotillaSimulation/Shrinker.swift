/// Makes a plan that fails smaller: leaves out faults as long as the same rule is broken, first many at once, then
/// fewer (delta debugging: Zeller and Hildebrandt 2002).
package struct Shrinker {
    private let plan: Plan
    private let rule: Violation.Rule
    private var runsLeft: Int

    /// - Parameters:
    ///   - plan: one whose run breaks `rule`.
    ///   - runs: how many runs it may cost at most.
    package init(_ plan: Plan, breaking rule: Violation.Rule, runs: Int = 300) {
        self.plan = plan
        self.rule = rule
        runsLeft = runs
    }

    /// The smallest plan that was found.
    package mutating func shrink() -> Plan {
        var kept = plan.faults.map(\.number)
        var size = max(1, kept.count / 2)
        while size >= 1, !kept.isEmpty {
            var start = 0
            while start < kept.count {
                let without = Array(kept[..<start] + kept[min(start + size, kept.count)...])
                if fails(without) { kept = without } else { start += size }
                if runsLeft == 0 { return plan.keeping(Set(kept)) }
            }
            size /= 2
        }
        return plan.keeping(Set(kept))
    }

    private mutating func fails(_ numbers: [Int]) -> Bool {
        guard runsLeft > 0 else { return false }
        runsLeft -= 1
        return World(plan.keeping(Set(numbers))).run()?.rule == rule
    }
}
