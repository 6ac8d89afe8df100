import Foundation
import NIOCore

/// The latency of each single operation of a benchmark.
struct BenchSamples: Sendable {
    private var samples: [(start: NIODeadline, microseconds: UInt64)] = []

    mutating func add(_ start: NIODeadline, _ microseconds: UInt64) { samples.append((start, microseconds)) }

    mutating func add(_ other: BenchSamples) { samples += other.samples }

    /// Writes a line for each: when it began by the monotonic clock in nanoseconds, and the microseconds that it took.
    func write(to path: String) throws {
        var text = ""
        for sample in samples { text += "\(sample.start.uptimeNanoseconds) \(sample.microseconds)\n" }
        do { try Data(text.utf8).write(to: URL(filePath: path)) } catch {
            throw ControlFailure(ControlFailure.usage, "can't write \(path): \(error)")
        }
    }
}
