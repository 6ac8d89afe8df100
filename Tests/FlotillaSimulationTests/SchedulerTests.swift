import FlotillaSimulation
import Testing

@Suite("The scheduler")
struct SchedulerTests {
    @Test func `lets things happen in the order of time, and of planning where times are equal`() {
        let scheduler = Scheduler()
        var seen: [String] = []
        scheduler.at(20) { seen.append("late at \(scheduler.now)") }
        scheduler.at(10) { seen.append("first at \(scheduler.now)") }
        scheduler.at(10) {
            seen.append("second at \(scheduler.now)")
            scheduler.after(5) { seen.append("planned meanwhile at \(scheduler.now)") }
            scheduler.at(3) { seen.append("too late, so now, at \(scheduler.now)") }
        }
        while scheduler.step(until: 15) {}
        #expect(scheduler.now == 15)
        #expect(
            seen == [
                "first at 10", "second at 10", "too late, so now, at 10", "planned meanwhile at 15",
            ])
        #expect(scheduler.step())
        #expect(seen.last == "late at 20")
        #expect(!scheduler.step())
        #expect(scheduler.happened == 5)
    }

    @Test func `keeps the luck of one part of the world apart from the others`() {
        var one = Randomness.of("disk", 1, seed: 7)
        var again = Randomness.of("disk", 1, seed: 7)
        var other = Randomness.of("disk", 2, seed: 7)
        var network = Randomness.of("network", 1, seed: 7)
        let drawn = one.bits()
        #expect(again.bits() == drawn)
        #expect(other.bits() != drawn)
        #expect(network.bits() != drawn)
    }
}
