import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@Suite("What a client repeats, and what it must not", .timeLimit(.minutes(1)))
struct OutcomeTests {
    @Test("A command without a session, written to a connection that is lost, has an unknown outcome")
    func lostAfterWrite() async throws {
        try await Bench.with({ $0.exactlyOnce = false }) { cluster in
            let leads = cluster.leads(Adder())
            return [{ $0.commands.isEmpty ? leads($0) : [.close] }]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .outcomeUnknown)
            // The client reconnects: had it a repetition to send, it would come before this query is answered.
            _ = try await bench.adder.query(Nothing())
            #expect(bench.nodes[0].commands.count == 1)
            #expect(await bench.client.counters().unknowns == 1)
        }
    }

    @Test("A command that is never answered has an unknown outcome at its deadline")
    func neverAnswered() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [{ $0.commands.isEmpty ? leads($0) : [] }]
        } _: { bench in
            try await bench.adder.openSession()
            let began = ContinuousClock.now
            #expect(
                await code { _ = try await bench.adder.process(1, timeout: .milliseconds(150)) } == .outcomeUnknown)
            let took = ContinuousClock.now - began
            #expect(took >= .milliseconds(150))
            await bench.nodes[0].wait { $0.contains { !$0.commands.isEmpty } }
            #expect(bench.nodes[0].commands.count == 1)
        }
    }

    @Test(
        "A command that was certainly not applied is sent again until it is",
        arguments: [
            FlotillaError.Code.busy, .notLeader, .noLeader, .transferring, .unknownServer, .overwritten, .shuttingDown,
        ])
    func repeats(_ refusal: FlotillaError.Code) async throws {
        let refusals = Counted(3)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard !received.commands.isEmpty,
                        refusals.change({
                            $0 -= 1; return $0 >= 0
                        })
                    else {
                        return leads(received)
                    }
                    return [cluster.rejections(received.commands, refusal, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            let result = try await bench.adder.process(7)
            #expect(result.reply == 7)
            #expect(bench.nodes[0].commands.count == 4)
            #expect(await bench.client.counters().retries == 3)
        }
    }

    @Test(
        "A refusal that will not pass is thrown at once", arguments: [FlotillaError.Code.halted, .malformed, .tooLarge])
    func refused(_ refusal: FlotillaError.Code) async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.isEmpty { return leads(received) }
                    return [cluster.rejections(received.commands, refusal, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == refusal)
            #expect(bench.nodes[0].commands.count == 1)
        }
    }

    @Test("A node without room until the deadline gives busy, and nothing was appended")
    func busyUntilDeadline() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.isEmpty { return leads(received) }
                    return [cluster.rejections(received.commands, .busy, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            // The deadline is to pass behind the refusals and not before the command is sent.
            try await bench.adder.openSession()
            // A deadline that passes while the command is on its way once more is another case.
            var found: FlotillaError.Code?
            for _ in 0..<5 where found == nil || found == .outcomeUnknown {
                found = await code { _ = try await bench.adder.process(1, timeout: .milliseconds(500)) }
            }
            #expect(found == .busy)
            #expect(await bench.client.counters().busyRejections > 1)
        }
    }

    @Test("A query is asked again over a new connection")
    func queryRepeated() async throws {
        let drops = Counted(1)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if case .queries = received,
                        drops.change({
                            $0 -= 1; return $0 >= 0
                        })
                    {
                        return [.close]
                    }
                    return leads(received)
                }
            ]
        } _: { bench in
            let answer = try await bench.adder.query(Nothing())
            #expect(answer == 0)
            #expect(await bench.client.counters().retries == 1)
        }
    }

    @Test("An answer that is given twice is counted and finds nobody")
    func answeredTwice() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    let reactions = leads(received)
                    return received.commands.isEmpty ? reactions : reactions + reactions
                }
            ]
        } _: { bench in
            for number in 1...20 {
                let result = try await bench.adder.process(1)
                #expect(result.reply == Int64(number))
            }
            #expect(await bench.client.counters().strayAnswers >= 19)
        }
    }

    @Test("A late answer is not given to a later command")
    func lateAnswer() async throws {
        let first = Counted<Received.Item?>(nil)
        try await Bench.with { cluster in
            let leader = TestLeader(Adder(), of: cluster, on: cluster.nodes[0])
            return [
                { received in
                    guard let item = received.commands.first else { return leader.react(to: received) }
                    guard let late = first.value else {
                        first.change { $0 = item }
                        return []
                    }
                    return [
                        cluster.results([leader.apply(late)], from: cluster.nodes[0]),
                        cluster.results([leader.apply(item)], from: cluster.nodes[0]),
                    ]
                }
            ]
        } _: { bench in
            // The deadline is to pass behind the command and not before it is sent.
            try await bench.adder.openSession()
            #expect(
                await code { _ = try await bench.adder.process(1, timeout: .milliseconds(500)) } == .outcomeUnknown)
            let result = try await bench.adder.process(10)
            #expect(result.reply == 11)
            #expect(await bench.client.counters().strayAnswers == 1)
        }
    }

    @Test("Cancelling before a command is sent is clean; after that the outcome is unknown")
    func cancellation() async throws {
        let knowsLeader = Counted(false)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if case .request(.locate) = received, !knowsLeader.value {
                        return [.respond(cluster.located(at: cluster.nodes[0], leader: nil))]
                    }
                    return received.commands.isEmpty ? leads(received) : []
                }
            ]
        } _: { bench in
            let parked = Task { try await bench.adder.process(1, timeout: .seconds(30)) }
            await bench.nodes[0].wait { received in
                received.contains { if case .request(.locate) = $0 { true } else { false } }
            }
            parked.cancel()
            await #expect(throws: CancellationError.self) { try await parked.value }
            knowsLeader.change { $0 = true }
            let sent = Task { try await bench.adder.process(2, timeout: .seconds(30)) }
            await bench.nodes[0].wait { $0.contains { !$0.commands.isEmpty } }
            sent.cancel()
            #expect(await code { _ = try await sent.value } == .outcomeUnknown)
            #expect(bench.nodes[0].commands.count == 1)
        }
    }

    @Test("Shutting down ends what was sent as unknown, and refuses what comes later")
    func shutdown() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [{ $0.commands.isEmpty ? leads($0) : [] }]
        } _: { bench in
            let sent = Task { try await bench.adder.process(2, timeout: .seconds(30)) }
            await bench.nodes[0].wait { $0.contains { !$0.commands.isEmpty } }
            await bench.client.shutdown()
            #expect(await code { _ = try await sent.value } == .outcomeUnknown)
            #expect(await code { _ = try await bench.adder.process(1) } == .shuttingDown)
        }
    }
}
