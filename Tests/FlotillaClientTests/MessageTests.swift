import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaClient

/// Adds what it is given, and sends numbers.
private struct Teller: StateMachine {
    var sum: Int64 = 0
    init(configuration: MachineConfiguration) {}
    init() {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        sum &+= command
        return sum
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
    typealias Message = Int64
    typealias AuxCommand = Int64
    typealias AuxReply = Int64
}

@Suite("What a cluster tells its clients' sessions", .timeLimit(.minutes(1)))
struct MessageTests {
    private func message(_ number: Int64, mark: MessageMark = []) -> SessionEvents.Event {
        .message(ByteBuffer(integer: number, endianness: .little), mark)
    }

    private func frame(
        _ events: SessionEvents.Event..., from node: TestNode, in bench: Bench, session: UInt64 = 1
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeFrame(.sessionEvents) { buffer in
            SessionEvents(server: bench.cluster.uid(node), session: SessionID(session), events: events)
                .encode(into: &buffer)
        }
        return buffer
    }

    /// The next message in a few letters.
    private func next(_ messages: inout SessionMessages<Teller>.Iterator) async -> String {
        do {
            switch try await messages.next() {
            case .message(let number, let mark): return "\(number)\(mark.contains(.event) ? "!" : "")"
            case .applied(let correlation, let index, let reply): return "\(correlation) at \(index): \(reply)"
            case .interrupted: return "a gap"
            case .sessionChanged(let session): return "session \(session)"
            case nil: return "the end"
            }
        } catch {
            return "\(error.code)"
        }
    }

    @Test func `messages come in order, to everybody who takes them, until the client is shut down`() async throws {
        try await Bench.with {
            [$0.leads(Teller())]
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            let (session, messages) = try await teller.messages()
            let (_, others) = try await teller.messages()
            #expect(session == SessionID(1))
            let node = bench.nodes[0]
            node.broadcast(frame(message(5), message(6, mark: .event), from: node, in: bench))
            let reply = ByteBuffer(integer: Int64(9), endianness: .little)
            node.broadcast(frame(.applied(correlation: 3, index: 12, reply: reply), from: node, in: bench))
            node.broadcast(frame(message(7), from: node, in: bench, session: 2))
            node.broadcast(frame(.message(ByteBuffer(string: "x"), []), message(8), from: node, in: bench))
            for stream in [messages, others] {
                var taken = stream.makeAsyncIterator()
                for expected in ["5", "6!", "3 at 12: 9", "malformed", "8"] {
                    let found = await next(&taken)
                    #expect(found == expected)
                }
            }
            var last = messages.makeAsyncIterator()
            await bench.client.shutdown()
            #expect(await next(&last) == "the end")
        }
    }

    @Test func `the next leader is told where the session's client is`() async throws {
        let leads = Counted(0)
        try await Bench.with(nodes: 2) { cluster in
            let leader = TestLeader(Teller(), of: cluster, on: cluster.nodes[0])
            return (0..<2).map { number in
                { received in
                    guard case .request(.locate) = received else { return leader.react(to: received) }
                    return [
                        .respond(
                            cluster.located(
                                at: cluster.nodes[number], leader: cluster.nodes[leads.value],
                                term: Term(UInt64(leads.value) + 1)))
                    ]
                }
            }
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            let (_, messages) = try await teller.messages()
            leads.change { $0 = 1 }
            bench.nodes[0].broadcast(frame(.deposed, from: bench.nodes[0], in: bench))
            await bench.nodes[1].wait { $0.contains(where: \.isKeep) }
            bench.nodes[1].broadcast(frame(message(4), from: bench.nodes[1], in: bench))
            var taken = messages.makeAsyncIterator()
            #expect(await next(&taken) == "a gap")
            #expect(await next(&taken) == "4")
            // And again when the connection is lost.
            bench.nodes[1].dropConnections()
            await bench.nodes[1].wait { $0.count(where: \.isKeep) == 2 }
            #expect(await next(&taken) == "a gap")
        }
    }

    @Test func `who begins to listen after the connection was lost is heard of at once, and told of the gap`()
        async throws
    {
        try await Bench.with {
            [$0.leads(Teller())]
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            _ = try await teller.process(1)
            bench.nodes[0].dropConnections()
            _ = try await teller.process(1)
            let (_, messages) = try await teller.messages()
            await bench.nodes[0].wait { $0.contains(where: \.isKeep) }
            var taken = messages.makeAsyncIterator()
            #expect(await next(&taken) == "a gap")
        }
    }

    @Test func `a session that ended is followed by another, which is told`() async throws {
        let isOver = Counted(false)
        try await Bench.with { cluster in
            let leads = cluster.leads(Teller())
            return [
                { received in
                    if received.isKeep, isOver.value {
                        return [.respond(.error(FlotillaError(.sessionExpired, "it is gone")))]
                    }
                    return leads(received)
                }
            ]
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            let (session, messages) = try await teller.messages()
            #expect(session == SessionID(1))
            isOver.change { $0 = true }
            bench.nodes[0].dropConnections()
            var taken = messages.makeAsyncIterator()
            #expect(await next(&taken) == "session 2")
        }
    }

    @Test func `a client without sessions takes no messages`() async throws {
        try await Bench.with({ $0.exactlyOnce = false }) {
            [$0.leads(Teller())]
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            #expect(await code { _ = try await teller.messages() } == .invalidArgument)
        }
    }

    @Test func `a member's own part is asked and told`() async throws {
        try await Bench.with {
            [$0.leads(Teller())]
        } _: { bench in
            let teller = bench.client.cluster(bench.cluster.name, of: Teller.self)
            let leaders = try await teller.askAux(41)
            let named = try await teller.askAux(42, on: bench.nodes[0].name)
            #expect(leaders == 41 && named == 42)
            try await teller.tellAux(43)
            let stranger = try NodeName("stranger")
            #expect(await code { _ = try await teller.askAux(1, on: stranger) } == .unknownMember)
        }
    }
}

extension Received {
    /// Whether it says that a session's client lives.
    fileprivate var isKeep: Bool {
        if case .request(.keepSessions) = self { true } else { false }
    }
}
