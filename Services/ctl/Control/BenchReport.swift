import FlotillaWire
import Histogram
import NIOCore

/// When is measured.
struct BenchTimes: Sendable {
    var warmUp: Double
    var seconds: Double

    /// The window that starts after the warm-up.
    func starting(at now: NIODeadline) -> Range<NIODeadline> {
        let start = now + .nanoseconds(Int64(warmUp * 1e9))
        return start..<(start + .nanoseconds(Int64(seconds * 1e9)))
    }
}

/// What one lane, or all, counted in the window.
struct BenchTally: Sendable {
    /// Microseconds from an operation's submission to its notification.
    var latencies = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
    /// The same one by one, if they are wanted.
    var samples = BenchSamples()
    var completed: UInt64 = 0
    var errors: UInt64 = 0
    var lastError: FlotillaError?

    mutating func add(_ other: BenchTally) {
        latencies.add(other.latencies)
        samples.add(other.samples)
        completed += other.completed
        errors += other.errors
        lastError = lastError ?? other.lastError
    }
}

/// What `bench` prints.
struct BenchReport: Encodable {
    /// Milliseconds.
    struct Latency: Encodable {
        var p50: Double
        var p90: Double
        var p99: Double
        var p999: Double
        var max: Double
    }

    var mix: String
    /// Operations a second.
    var throughput: Double
    var latency_ms: Latency
    var operations: UInt64
    var errors: UInt64
    /// How many operations a node refused for want of room; they were sent again.
    var throttled: UInt64
    var seconds: Double
    var in_flight: Int
    var connections: Int
    var value_size: Int

    init(_ command: BenchCommand, _ tally: BenchTally, throttled: UInt64) {
        func milliseconds(_ percentile: Double) -> Double {
            tally.latencies.totalCount == 0 ? 0 : Double(tally.latencies.valueAtPercentile(percentile)) / 1_000
        }
        mix = command.mix.rawValue
        throughput = (Double(tally.completed) / command.seconds * 10).rounded() / 10
        latency_ms = Latency(
            p50: milliseconds(50), p90: milliseconds(90), p99: milliseconds(99), p999: milliseconds(99.9),
            max: milliseconds(100))
        operations = tally.completed
        errors = tally.errors
        self.throttled = throttled
        seconds = command.seconds
        in_flight = command.inFlight
        connections = command.connections
        value_size = command.valueSize
    }

    /// The same as a table.
    var lines: [String] {
        [
            "mix         \(mix), \(in_flight) in flight over \(connections) connections, \(value_size) bytes",
            "throughput  \(throughput.text(1)) /s in \(seconds.text(1)) s",
            "p50         \(latency_ms.p50.text(3)) ms", "p90         \(latency_ms.p90.text(3)) ms",
            "p99         \(latency_ms.p99.text(3)) ms", "p99.9       \(latency_ms.p999.text(3)) ms",
            "max         \(latency_ms.max.text(3)) ms", "errors      \(errors)", "throttled   \(throttled)",
        ]
    }
}
