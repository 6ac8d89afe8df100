import FlotillaWire
import Testing

struct LimitsTests {
    @Test("The limits fit together")
    func relations() { Limits.check() }
}
