import NIOCore

/// Pauses before something is tried again: drawn at random from nothing up to a bound that doubles each time, so that
/// many clients that failed together do not come back together.
struct BackOff {
    private let minimum: Int64
    private let maximum: Int64
    private var bound: Int64

    /// Pauses between these two; the first bound is the minimum.
    init(minimum: TimeAmount, maximum: TimeAmount) {
        self.minimum = max(1, minimum.nanoseconds)
        self.maximum = max(self.minimum, maximum.nanoseconds)
        bound = self.minimum
    }

    /// The next pause: at least half of the minimum, at most the bound, which doubles.
    mutating func next() -> TimeAmount {
        let pause = Int64.random(in: min(minimum / 2, bound)...bound)
        bound = bound > maximum / 2 ? maximum : bound * 2
        return .nanoseconds(pause)
    }

    /// Starts again with short pauses, after a success.
    mutating func reset() { bound = minimum }
}
