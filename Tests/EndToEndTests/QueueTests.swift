import FlotillaClient
import FlotillaMachines
import FlotillaWire
import Foundation
import NIOCore
import Synchronization
import Testing

/// A queue with real processes: what effects are for.
@Suite(.serialized) struct QueueTests {
    @Test func `messages are added, taken, settled and given back from the command line`() async throws {
        try await LocalCluster.with(3) { cluster in
            func queue(_ arguments: String...) async throws -> ToolResult {
                try await flotilla(arguments + ["--cluster", "jobs"], endpoints: cluster.endpointList)
            }
            let start = try await flotilla(
                "cluster", "start", "jobs", "--machine", "queue", "--members", "n1,n2,n3",
                endpoints: cluster.endpointList)
            #expect(start.status == 0, "\(start.error)")
            for (text, number) in [("one", 1), ("two", 2), ("three", 3)] {
                #expect(try await queue("queue", "enqueue", text).output == "\(number)\n")
            }
            let keyed = try await queue("queue", "enqueue", "four", "--key", "k")
            let again = try await queue("queue", "enqueue", "five", "--key", "k")
            #expect(keyed.output == "4\n" && again.output == "4\n" && again.error.contains("there already"))
            let taken = try await queue("queue", "consume", "--count", "2")
            #expect(taken.output == "1\tone\n2\ttwo\n", "\(taken.error)")
            // The command has ended, and with it its session: what it held is there again.
            _ = try await eventually("they are given back") { () -> Bool? in
                try await queue("queue", "status").output.hasPrefix("ready\t4\nheld\t0\n") ? true : nil
            }
            #expect(try await queue("queue", "settle", "2").status == 0)
            let rest = try await queue("queue", "consume", "--count", "3", "--settle")
            #expect(rest.output == "1\tone\n3\tthree\n4\tfour\n", "\(rest.error)")
            let none = try await queue("queue", "consume", "--timeout", "1")
            #expect(none.status == 1 && none.error.contains("no message"))
            #expect(try await queue("queue", "settle", "2").status == 1)
        }
    }

    @Test func `each message is worked on while leaders and consumers die`() async throws {
        try await LocalCluster.with(3) { cluster in
            let producer = try await cluster.client(timeout: .seconds(60))
            let name = try ClusterName("jobs")
            _ = try await producer.startCluster(name, machine: "queue", nodes: cluster.names)
            let jobs = producer.cluster(name, of: Queue.self)
            let settled = Settled()
            var clients: [FlotillaClient] = []
            for _ in 0..<2 { clients.append(try await cluster.client(timeout: .seconds(60))) }
            let workers = clients.map { client in
                Task { try await work(client.cluster(name, of: Queue.self), settled) }
            }
            // One that takes and never settles, until it is gone.
            let idler = try await cluster.client(timeout: .seconds(60))
            let idle = try await idler.cluster(name, of: Queue.self).consume(prefetch: 20)
            let adding = Task {
                for number in 1...1_500 { _ = try await jobs.process(.enqueue(ByteBuffer(string: "job \(number)"))) }
            }
            for _ in 0..<3 {
                let leader = try await leaderNode(of: jobs)
                try await cluster[leader].killed()
                try await cluster.restart(leader)
            }
            for try await delivery in idle where delivery.id > 0 { break }
            await idler.shutdown()
            try await adding.value
            _ = try await eventually("all is settled") { () -> Bool? in
                guard case .status(let status) = try await jobs.query(.status) else { return nil }
                return status.ready + status.held == 0 ? true : nil
            }
            let texts = settled.texts
            #expect(Set(texts) == Set((1...1_500).map { "job \($0)" }))
            #expect(texts.count == 1_500, "each was settled by one consumer, once")
            for client in clients { await client.shutdown() }
            for worker in workers { try await worker.value }
            await producer.shutdown()
        }
    }

    private final class Settled: Sendable {
        private let state = Mutex<[String]>([])
        var texts: [String] { state.withLock { $0 } }
        func add(_ text: String) { state.withLock { $0.append(text) } }
    }

    private func work(_ queue: ClusterClient<Queue>, _ settled: Settled) async throws {
        let consumer = try await queue.consume(prefetch: 50)
        for try await delivery in consumer where try await consumer.settle([delivery.id]) == 1 {
            settled.add(String(buffer: delivery.body))
        }
    }
}
