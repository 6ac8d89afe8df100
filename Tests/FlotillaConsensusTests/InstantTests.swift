import FlotillaConsensus
import Testing

@Suite struct InstantTests {
    @Test func `a sum stops at the end of the clock`() {
        #expect(Instant(nanoseconds: 5) + .nanoseconds(7) == Instant(nanoseconds: 12))
        #expect(Instant(nanoseconds: .max - 1) + .seconds(1) == Instant(nanoseconds: .max))
        #expect(Instant(nanoseconds: 5) + .seconds(-1) == Instant(nanoseconds: 5))
    }

    @Test func `a difference is never negative`() {
        #expect(Instant(nanoseconds: 12) - Instant(nanoseconds: 5) == .nanoseconds(7))
        #expect(Instant(nanoseconds: 5) - Instant(nanoseconds: 12) == .zero)
    }

    @Test func `a duration is counted in whole nanoseconds`() {
        #expect(Duration.milliseconds(1_500).wholeNanoseconds == 1_500_000_000)
        #expect(Duration.seconds(-1).wholeNanoseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    }
}
