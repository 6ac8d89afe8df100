import FlotillaSimulation

/// A failing seed for the person who is to find out why.
struct FailureText {
    let plan: Plan
    let violation: Violation

    /// How many of the last events are shown.
    private static let events = 200

    func print(shrinks: Bool) {
        Swift.print("\nseed \(plan.seed) breaks \(violation)")
        var smallest = plan
        if shrinks {
            var shrinker = Shrinker(plan, breaking: violation.rule)
            smallest = shrinker.shrink()
            Swift.print("  of its \(plan.faults.count) faults \(smallest.faults.count) are enough")
        }
        Swift.print("  the world: \(plan.options)")
        for fault in smallest.faults { Swift.print("  fault \(fault)") }
        let world = World(smallest, keepingEvents: Self.events)
        let again = world.run()
        Swift.print("  with these: \(again.map { "\($0)" } ?? "nothing is broken, which should not be")")
        Swift.print("  the last \(Self.events) events:")
        for event in world.trace.latest { Swift.print("   \(event)") }
        Swift.print("  to see it whole: \(command(for: smallest))")
    }

    private func command(for smallest: Plan) -> String {
        let numbers = smallest.faults.map { "\($0.number)" }.joined(separator: ",")
        let keep = smallest.faults.count == plan.faults.count ? "" : " --keep '\(numbers)'"
        return ".build/release/flotilla-simulate --seeds \(plan.seed)\(keep) --trace"
    }
}
