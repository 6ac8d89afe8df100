import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Synchronization
import Testing

@Suite("Pipelines", .timeLimit(.minutes(1)))
struct PipelineTests {
    @Test("Notifications come in batches and in the order of submission")
    func order() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            let (seen, batches) = try await run(3_000, on: bench.adder)
            #expect(seen == Array(0..<3_000))
            #expect(batches < 1_500)
        }
    }

    /// Submits commands from inside the handler, a few at a time, and returns the correlations in order of arrival.
    private func run(_ count: UInt64, on cluster: ClusterClient<Adder>) async throws -> ([UInt64], Int) {
        let state = Counted<(seen: [UInt64], batches: Int, next: UInt64)>(([], 0, 100))
        let pipeline = Counted<Pipeline<Adder>?>(nil)
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let made = cluster.pipeline { batch in
                let (first, finished) = state.change { state in
                    state.seen += batch.commands.map(\.correlation)
                    state.batches += 1
                    defer { state.next = min(count, state.next + UInt64(batch.commands.count)) }
                    return (state.next, state.seen.count == Int(count))
                }
                for correlation in first..<min(count, first + UInt64(batch.commands.count)) {
                    try? pipeline.value?.submit(1, correlation: correlation)
                }
                if finished { done.resume() }
            }
            pipeline.change { $0 = made }
            // The handler waits for the state, so that what it submits comes behind the first hundred.
            state.change { _ in for correlation in 0..<UInt64(100) { try? made.submit(1, correlation: correlation) } }
        }
        pipeline.change { $0 = nil }
        return (state.value.seen, state.value.batches)
    }

    @Test("A full client refuses with busy, and takes again once answers have come")
    func bound() async throws {
        let open = Counted<[Received.Item]>([])
        try await Bench.with { configuration in
            configuration.openCommands = 10
        } scripts: { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard !received.commands.isEmpty else { return leads(received) }
                    open.change { $0 += received.commands }
                    return []
                }
            ]
        } _: { bench in
            let notified = Counted(0)
            let pipeline = bench.adder.pipeline { batch in notified.change { $0 += batch.commands.count } }
            let commands = (0..<25).map { (command: Int64(1), correlation: UInt64($0)) }
            let accepted = try pipeline.submit(contentsOf: commands)
            #expect(accepted == 10)
            #expect(await code { try pipeline.submit(1, correlation: 99) } == .busy)
            // A caller waits in order, and is let in when there is room.
            let waiting = Task { try await bench.adder.process(5) }
            await bench.nodes[0].wait { $0.flatMap(\.commands).count == 10 }
            let leader = TestLeader(Adder(), of: bench.cluster, on: bench.nodes[0])
            bench.nodes[0].follow { leader.react(to: $0) }
            let answers = bench.cluster.results(open.value.map { leader.apply($0) }, from: bench.nodes[0])
            if case .bytes(let bytes) = answers { bench.nodes[0].broadcast(bytes) }
            let result = try await waiting.value
            #expect(result.reply == 15)
            #expect(notified.value == 10)
        }
    }

    @Test("No more commands than the bound are ever open, however many tasks call")
    func processBound() async throws {
        let widest = Counted(0)
        try await Bench.with { configuration in
            configuration.openCommands = 16
        } scripts: { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    widest.change { $0 = max($0, received.commands.count) }
                    return leads(received)
                }
            ]
        } _: { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<500 { group.addTask { _ = try await bench.adder.process(1) } }
                try await group.waitForAll()
            }
            #expect(widest.value <= 16)
            #expect(bench.nodes[0].commands.count == 500)
        }
    }

    @Test("The asynchronous form suspends its submitter and ends after the last notification")
    func asynchronous() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            let pipeline = bench.adder.pipeline(openCommands: 50)
            async let submitted: Void = {
                for correlation in 0..<UInt64(1_000) { try await pipeline.submit(2, correlation: correlation) }
                pipeline.finish()
            }()
            var seen: [UInt64] = []
            for await batch in pipeline.notifications {
                #expect(batch.commands.count <= 50)
                seen += batch.commands.map(\.correlation)
            }
            try await submitted
            #expect(seen == Array(0..<1_000))
            let sum = try await bench.adder.query(Nothing())
            #expect(sum == 2_000)
        }
    }

    @Test("Every open command is notified once when the connection is lost")
    func lost() async throws {
        try await Bench.with({ $0.exactlyOnce = false }) { cluster in
            let leads = cluster.leads(Adder())
            return [{ $0.commands.isEmpty ? leads($0) : [.close] }]
        } _: { bench in
            let pipeline = bench.adder.pipeline(openCommands: 200, timeout: .seconds(20))
            _ = try await bench.adder.query(Nothing())
            for correlation in 0..<UInt64(100) { try await pipeline.submit(1, correlation: correlation) }
            pipeline.finish()
            var notified: [UInt64: Int] = [:]
            for await batch in pipeline.notifications {
                for notification in batch.commands {
                    notified[notification.correlation, default: 0] += 1
                    guard case .failure(let error) = notification.result else { continue }
                    #expect(error.code == .outcomeUnknown)
                }
            }
            #expect(notified.count == 100)
            #expect(notified.values.allSatisfy { $0 == 1 })
            let sent = bench.nodes[0].commands.map(\.correlation)
            #expect(Set(sent).count == sent.count)
        }
    }

    @Test("Queries go through a pipeline too")
    func queries() async throws {
        try await Bench.with { cluster in
            [cluster.leads(Adder())]
        } _: { bench in
            _ = try await bench.adder.process(9)
            let answer = Counted<Int64?>(nil)
            try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
                let pipeline = bench.adder.pipeline { batch in
                    answer.change { $0 = try? batch.queries.first?.result.get() }
                    done.resume()
                }
                do { try pipeline.submit(query: Nothing(), correlation: 4) } catch { done.resume(throwing: error) }
            }
            #expect(answer.value == 9)
        }
    }
}
