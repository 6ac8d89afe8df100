import FlotillaTestNode
import FlotillaWire
import Foundation
import Testing

@Suite("The benchmark", .timeLimit(.minutes(1)))
struct BenchTests {
    struct Report: Decodable {
        struct Latency: Decodable {
            var p50: Double
            var p90: Double
            var p99: Double
            var p999: Double
            var max: Double
        }
        var throughput: Double
        var latency_ms: Latency
        var errors: Int
        var throttled: Int
        var seconds: Double
        var in_flight: Int
        var value_size: Int
    }

    @Test("It reports throughput and latencies in order", arguments: ["put", "get", "mixed"])
    func keyValue(_ mix: String) async throws {
        try await withNode { endpoint, _ in
            let ran = await flotilla(
                "bench", "--mix", mix, "--seconds", "1", "--warm-up", "0.1", "--in-flight", "20", "--connections",
                "2", "--value-size", "16", "--keys", "50", "--output", "json", "--endpoints", endpoint)
            #expect(ran.exitCode == 0)
            let report: Report = try ran.json()
            #expect(report.throughput > 0)
            #expect(report.errors == 0)
            #expect(report.in_flight == 20)
            #expect(report.value_size == 16)
            #expect(report.latency_ms.p50 <= report.latency_ms.p99)
            #expect(report.latency_ms.p99 <= report.latency_ms.max)
        }
    }

    @Test("Operations come at a steady rate, and the latency of each is written down")
    func rate() async throws {
        try await withNode { endpoint, _ in
            let file = try TemporaryFile("")
            let ran = await flotilla(
                "bench", "--rate", "200", "--seconds", "0.5", "--warm-up", "0", "--in-flight", "20", "--connections",
                "2", "--samples", file.path, "--output", "json", "--endpoints", endpoint)
            #expect(ran.exitCode == 0)
            let report: Report = try ran.json()
            #expect(report.errors == 0)
            let lines = try String(contentsOfFile: file.path, encoding: .utf8).split(separator: "\n")
            // 100 are due; a machine that is busy may be late with the last ones, never early.
            #expect((50...102).contains(lines.count), "\(lines.count)")
            let starts = lines.compactMap { $0.split(separator: " ").first.flatMap { UInt64($0) } }.sorted()
            #expect(starts.count == lines.count)
            #expect((starts.last ?? 0) - (starts.first ?? 0) <= 500_000_000)
            #expect(lines.allSatisfy { $0.split(separator: " ").count == 2 })
        }
    }

    @Test("The mix of commands needs a counter and drives it")
    func command() async throws {
        try await withNode { endpoint, _ in
            let ran = await flotilla("bench", "--mix", "command", "--seconds", "0.1", "--endpoints", endpoint)
            #expect(ran.exitCode == 1)
            #expect(ran.errors.contains("needs 'counter'"))
        }
        try await withNode(machine: "counter", cluster: "tally", { $0.leadsCounter() }) { endpoint, _ in
            let ran = await flotilla(
                "bench", "--mix", "command", "--seconds", "0.2", "--warm-up", "0", "--cluster", "tally", "--endpoints",
                endpoint)
            #expect(ran.exitCode == 0)
            #expect(ran.output.contains("throughput"))
        }
    }

    @Test("Rejections for want of room are counted, and the operations still end well")
    func throttled() async throws {
        try await withNode { cluster in
            let leads = cluster.leadsKeyValue()
            return { received in
                guard received.commands.count > 4 else { return leads(received) }
                let first = Received.commands(
                    target: cluster.uid(cluster.nodes[0]), items: Array(received.commands.prefix(4)))
                return leads(first) + [
                    cluster.rejections(Array(received.commands.dropFirst(4)), .busy, from: cluster.nodes[0])
                ]
            }
        } _: { endpoint, _ in
            let ran = await flotilla(
                "bench", "--seconds", "0.3", "--warm-up", "0", "--in-flight", "8", "--output", "json", "--endpoints",
                endpoint)
            let report: Report = try ran.json()
            #expect(report.throttled > 0)
            #expect(report.errors == 0)
        }
    }
}
