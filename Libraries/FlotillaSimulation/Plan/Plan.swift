/// Everything that is going to happen to a world from outside: what it is like, and its faults.
///
/// A seed determines it. Leaving faults out changes nothing else that is drawn, so a run that fails can be made
/// smaller.
package struct Plan: Equatable, Sendable {
    package var seed: UInt64
    package var options: WorldOptions
    package var faults: [PlannedFault]

    /// The plan of a seed.
    package init(seed: UInt64) {
        self.seed = seed
        options = WorldOptions(seed: seed)
        var drawer = FaultDrawer(seed: seed, options: options)
        faults = drawer.draw()
    }

    /// A plan made by hand.
    package init(seed: UInt64, options: WorldOptions, faults: [Fault] = [], times: [UInt64] = []) {
        self.seed = seed
        self.options = options
        self.faults = faults.indices.map {
            PlannedFault(number: $0, time: $0 < times.count ? times[$0] : 0, fault: faults[$0])
        }
    }

    /// The same with only some of the faults, by their numbers.
    package func keeping(_ numbers: Set<Int>) -> Plan {
        var smaller = self
        smaller.faults = faults.filter { numbers.contains($0.number) }
        return smaller
    }
}
