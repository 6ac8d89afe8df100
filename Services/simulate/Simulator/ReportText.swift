import FlotillaSimulation
import Foundation

/// What was met, in words.
struct ReportText {
    private let report: Report

    init(_ report: Report) { self.report = report }

    private var virtualHours: Double { Double(report.virtualNanoseconds) / 3.6e12 }

    private static func rounded(_ number: Double) -> String { String(format: "%.1f", number) }

    /// One line on how far it is.
    func progress(since start: Date, of seeds: UInt64, failures: Int) -> String {
        let seconds = Date().timeIntervalSince(start)
        let rate = Double(report.worlds) / max(seconds, 0.001)
        return
            "\(report.worlds) of \(seeds) seeds, \(Self.rounded(rate)) a second, "
            + "\(Self.rounded(virtualHours)) virtual hours, \(failures) failures"
    }

    /// Everything.
    func print(since start: Date? = nil) {
        if let start {
            let seconds = Date().timeIntervalSince(start)
            Swift.print(
                "\(report.worlds) seeds in \(Self.rounded(seconds)) s, "
                    + "\(Self.rounded(Double(report.worlds) / max(seconds, 0.001))) a second")
        }
        Swift.print(
            "\(Self.rounded(virtualHours)) virtual hours, \(report.happenings) events, \(report.attempts) requests of "
                + "clients, \(report.answers) answered, \(report.unknown) with an unknown outcome")
        Swift.print("went wrong:")
        print(report.faults.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") })
        Swift.print("was met:")
        print(report.coverage.map { ($0.state, $0.count == 0 ? "never" : "\($0.count)") })
        Swift.print(
            "slowest recovery after the last fault: \(report.slowestRecovery / 1_000_000) ms of virtual time")
    }

    private func print(_ rows: [(name: String, value: String)]) {
        for row in rows {
            let dots = String(repeating: ".", count: max(2, 44 - row.name.count))
            Swift.print("  \(row.name) \(dots) \(row.value)")
        }
    }
}
