import NIOCore

/// When operations are due that are begun at a steady rate.
struct BenchPace: Sendable {
    private let rate: Double
    private var began = NIODeadline.distantFuture
    private var taken = 0

    /// - Parameter rate: operations in a second.
    init(rate: Double) { self.rate = rate }

    /// Has the first operation be due.
    mutating func begin(at now: NIODeadline) { began = now }

    /// When the next operation is due.
    var next: NIODeadline { began + .nanoseconds(Int64(Double(taken) / rate * 1e9)) }

    /// How many operations are due that were not taken.
    func due(by now: NIODeadline) -> Int {
        guard now >= began else { return 0 }
        return max(0, Int(Double((now - began).nanoseconds) * rate / 1e9) + 1 - taken)
    }

    /// Takes the next operation; returns when it is, or was, due.
    mutating func take() -> NIODeadline {
        defer { taken += 1 }
        return next
    }
}
