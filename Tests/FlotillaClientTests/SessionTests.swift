import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaClient

@Suite("Commands of a session take effect once, however often they are sent", .timeLimit(.minutes(1)))
struct SessionTests {
    // MARK: Serials

    @Test func `the lowest open serial follows the oldest command that is open`() {
        var session = ClientSession(id: 7)
        #expect((1...3).map { _ in session.take().serial } == [1, 2, 3])
        #expect(session.room == 8_189)
        session.close(2)
        #expect(session.lowestOpen == 1)
        session.close(1)
        #expect(session.lowestOpen == 3)
        #expect(session.take() == CommandPrefix.Session(id: 7, serial: 4, lowestOpenSerial: 3))
        session.close(4)
        session.close(3)
        #expect(session.lowestOpen == 5 && session.room == 8_192)
    }

    @Test func `serials are given out and closed in any order, over many windows`() {
        var session = ClientSession(id: 1)
        var open: Set<UInt64> = []
        var draws = SystemRandomNumberGenerator()
        var isRight = true
        for step in 0..<50_000 {
            if session.room > 0, Bool.random(using: &draws) || open.isEmpty {
                let place = session.take()
                open.insert(place.serial)
                isRight = isRight && place.isInOrder
            } else if let serial = open.randomElement(using: &draws) {
                open.remove(serial)
                session.close(serial)
            }
            if step % 500 == 0, let lowest = open.min() { isRight = isRight && session.lowestOpen == lowest }
        }
        #expect(isRight)
    }

    // MARK: Repetition

    @Test("A command that was applied before the connection was lost is not applied again")
    func appliedBeforeTheLoss() async throws {
        let drops = Counted(3)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    let reactions = leads(received)
                    let drop =
                        !received.commands.isEmpty
                        && drops.change {
                            $0 -= 1; return $0 >= 0
                        }
                    return drop ? [.close] : reactions
                }
            ]
        } _: { bench in
            let result = try await bench.adder.process(5)
            #expect(result.reply == 5)
            #expect(result.index == 1, "where the copy stands that took effect")
            #expect(bench.nodes[0].commands.count == 4)
            #expect(Set(bench.nodes[0].commands.map(\.body)).count == 1, "each copy has the same bytes")
            let next = try await bench.adder.process(1)
            #expect(next.reply == 6)
            let counters = await bench.client.counters()
            #expect(counters.unknowns == 0 && counters.retries == 3 && counters.sessionsOpened == 1)
        }
    }

    @Test("Commands are sent again in the order in which they were sent first")
    func order() async throws {
        let lost = Counted(false)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.contains(where: { $0.session?.serial == 500 }), !lost.value {
                        lost.change { $0 = true }
                        return [.close]
                    }
                    return received.commands.isEmpty || lost.value ? leads(received) : []
                }
            ]
        } _: { bench in
            let results = Counted<[Int64]>([])
            let (done, finished) = AsyncStream.makeStream(of: Void.self)
            let pipeline = bench.adder.pipeline { batch in
                for command in batch.commands {
                    // A failure shows as a sum that none can be.
                    results.change { $0.append((try? command.result.get().reply) ?? -1) }
                }
                if results.value.count == 1_000 { finished.finish() }
            }
            for number in 1...1_000 { try pipeline.submit(Int64(number), correlation: UInt64(number)) }
            for await _ in done {}
            let sums = (1...1_000).map { (number: Int) in Int64(number * (number + 1) / 2) }
            #expect(results.value == sums)
        }
    }

    @Test("What a leader that stands still does not answer goes to the next leader")
    func silentLeader() async throws {
        let leads = Counted(1)
        try await Bench.with(nodes: 2, { $0.suspicionTimeout = .milliseconds(100) }) { cluster in
            let second = TestLeader(Adder(), of: cluster, on: cluster.nodes[1])
            return (0..<2).map { number in
                { received in
                    if case .request(.locate) = received {
                        let term = Term(UInt64(leads.value))
                        return [
                            .respond(
                                cluster.located(
                                    at: cluster.nodes[number], leader: cluster.nodes[leads.value - 1], term: term))
                        ]
                    }
                    if number == 1 { return second.react(to: received) }
                    guard received.commands.isEmpty else {
                        leads.change { $0 = 2 }
                        return []
                    }
                    return second.react(to: received)
                }
            }
        } _: { bench in
            let result = try await bench.adder.process(5)
            #expect(result.reply == 5)
            #expect(bench.nodes.map(\.commands.count) == [1, 1])
            #expect(await bench.client.counters().retries == 1)
        }
    }

    @Test("A rejection with an unknown outcome is no end")
    func unknownOutcome() async throws {
        let refusals = Counted(2)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    let reactions = leads(received)
                    guard !received.commands.isEmpty,
                        refusals.change({
                            $0 -= 1; return $0 >= 0
                        })
                    else {
                        return reactions
                    }
                    return [cluster.rejections(received.commands, .outcomeUnknown, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            #expect(await bench.sum(adding: 5) == 5)
            #expect(await bench.sum() == 5)
        }
    }

    @Test("A refusal for good says nothing about a copy that was sent before")
    func refusedAfterLoss() async throws {
        let drops = Counted(1)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.isEmpty { return leads(received) }
                    if drops.change({
                        $0 -= 1; return $0 >= 0
                    }) {
                        return [.close]
                    }
                    return [cluster.rejections(received.commands, .halted, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .outcomeUnknown)
            #expect(await code { _ = try await bench.adder.process(1) } == .halted)
        }
    }

    @Test("A reply that is gone is told as such: the command was applied")
    func replyGone() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.isEmpty { return leads(received) }
                    return [cluster.rejections(received.commands, .replyGone, from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .replyGone)
        }
    }

    // MARK: The end of a session

    @Test("A command of a session that ended takes effect in the next, if it was sent once")
    func expired() async throws {
        let expired = Counted(false)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.contains(where: { $0.session?.id == 1 }), expired.value {
                        return [cluster.rejections(received.commands, .sessionExpired, from: cluster.nodes[0])]
                    }
                    return leads(received)
                }
            ]
        } _: { bench in
            #expect(await bench.sum(adding: 5) == 5)
            expired.change { $0 = true }
            #expect(await bench.sum(adding: 2) == 7)
            #expect(bench.nodes[0].commands.map(\.session?.id) == [1, 1, 2])
            #expect(await bench.client.counters().sessionsOpened == 2)
        }
    }

    @Test("A command that may have taken effect in a session that ended is not sent in another")
    func expiredAfterLoss() async throws {
        let drops = Counted(1)
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    if received.commands.isEmpty { return leads(received) }
                    if drops.change({
                        $0 -= 1; return $0 >= 0
                    }) {
                        _ = leads(received)
                        return [.close]
                    }
                    if received.commands.contains(where: { $0.session?.id == 1 }) {
                        return [cluster.rejections(received.commands, .sessionExpired, from: cluster.nodes[0])]
                    }
                    return leads(received)
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(5) } == .outcomeUnknown)
            #expect(await bench.sum(adding: 2) == 7)
        }
    }

    @Test("A cluster that was made again under its name gets a session of its own")
    func anotherCluster() async throws {
        let isSecond = Counted(false)
        try await Bench.with { cluster in
            let other = cluster.with(ClusterID(high: 3, low: 4))
            let (first, second) = (cluster.leads(Adder()), other.leads(Adder()))
            return [
                { received in
                    guard isSecond.value else { return first(received) }
                    // The first session's number means nothing here, and its commands must not come.
                    if received.commands.contains(where: { $0.session?.serial != 1 }) {
                        return [other.rejections(received.commands, .unknownServer, from: other.nodes[0])]
                    }
                    return second(received)
                }
            ]
        } _: { bench in
            #expect(await bench.sum(adding: 5) == 5)
            isSecond.change { $0 = true }
            #expect(await bench.sum(adding: 2) == 2)
            #expect(await bench.client.counters().sessionsOpened == 2)
        }
    }

    @Test("A session of a cluster that was made again meanwhile is not taken for one of the new cluster")
    func openedInAnotherCluster() async throws {
        let isSecond = Counted(false)
        let refusals = Counted(1)
        try await Bench.with { cluster in
            let other = cluster.with(ClusterID(high: 3, low: 4))
            let (first, second) = (cluster.leads(Adder()), other.leads(Adder()))
            return [
                { received in
                    if case .request(.openSession) = received, !isSecond.value {
                        isSecond.change { $0 = true }
                        return [.hold(.sessionOpened(SessionOpened(id: 77, leaseMilliseconds: 60_000)))]
                    }
                    if case .queries(_, _, let items) = received,
                        refusals.change({
                            $0 -= 1; return $0 >= 0
                        })
                    {
                        return [other.rejections(items, .unknownServer, from: other.nodes[0])]
                    }
                    return isSecond.value ? second(received) : first(received)
                }
            ]
        } _: { bench in
            async let sum = bench.sum(adding: 5)
            await bench.nodes[0].wait { received in
                received.contains { if case .request(.openSession) = $0 { true } else { false } }
            }
            // The client learns of the new cluster before the old one has answered.
            #expect(await bench.sum() == 0)
            bench.nodes[0].release()
            #expect(await sum == 5)
            #expect(bench.nodes[0].commands.map(\.session?.id) == [1])
        }
    }

    // MARK: Begin and life

    @Test("Where no session can be had until the deadline, nothing was sent")
    func noSession() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard case .request(.openSession) = received else { return leads(received) }
                    return [.respond(.error(FlotillaError(.busy, "2 client sessions, which is its limit")))]
                }
            ]
        } _: { bench in
            let error = await #expect(throws: FlotillaError.self) {
                try await bench.adder.process(1, timeout: .milliseconds(300))
            }
            #expect(error?.code == .busy)
            let message = error?.message ?? ""
            #expect(message.contains("2 client sessions"))
            #expect(bench.nodes[0].commands.isEmpty)
            #expect(await code { try await bench.adder.openSession(timeout: .milliseconds(100)) } == .busy)
            #expect(await bench.sum() == 0, "queries need no session")
        }
    }

    @Test("A cluster whose machine has failed begins no session, and says so")
    func halted() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard case .request(.openSession) = received else { return leads(received) }
                    return [.respond(.error(FlotillaError(.halted, "the machine has failed")))]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1, timeout: .seconds(30)) } == .halted)
            #expect(await code { try await bench.adder.openSession(timeout: .seconds(30)) } == .halted)
        }
    }

    @Test("A session is asked for at the leader, once for all commands, and kept while the client lives")
    func kept() async throws {
        let opened = Counted(0)
        try await Bench.with(nodes: 2) { cluster in
            let leader = TestLeader(Adder(), of: cluster, on: cluster.nodes[1])
            return (0..<2).map { number in
                { received in
                    switch received {
                    case .request(.locate) where number == 0:
                        return [.respond(cluster.located(at: cluster.nodes[0], leader: cluster.nodes[1]))]
                    case .request(.openSession):
                        opened.change { $0 += 1 }
                        _ = leader.react(to: received)
                        return [.respond(.sessionOpened(SessionOpened(id: 1, leaseMilliseconds: 90)))]
                    default: return leader.react(to: received)
                    }
                }
            }
        } _: { bench in
            try await bench.adder.openSession()
            try await bench.adder.openSession()
            async let first = bench.adder.process(1)
            async let second = bench.adder.process(2)
            let replies = try await [first.reply, second.reply]
            #expect(replies.max() == 3)
            await bench.nodes[1].wait { $0.count(where: \.keepsSession) >= 3 }
            #expect(opened.value == 1)
            #expect(bench.nodes[0].received.count(where: \.keepsSession) == 0)
            await bench.client.shutdown()
            await bench.nodes[1].wait { received in
                received.contains { if case .request(.endSessions(_, [1])) = $0 { true } else { false } }
            }
        }
    }

    @Test("Commands wait while the oldest open one is too far behind, and none is lost")
    func window() async throws {
        let held = Counted<Received.Item?>(nil)
        let leader = Counted<TestLeader<Adder>?>(nil)
        try await Bench.with { cluster in
            let made = TestLeader(Adder(), of: cluster, on: cluster.nodes[0])
            leader.change { $0 = made }
            return [
                { received in
                    guard case .commands(_, let items) = received else { return made.react(to: received) }
                    let rest = items.filter { $0.session?.serial != 1 }
                    if rest.count < items.count { held.change { $0 = items[0] } }
                    return [cluster.results(rest.map(made.apply), from: cluster.nodes[0])]
                }
            ]
        } _: { bench in
            let (notified, notify) = AsyncStream.makeStream(of: Int.self)
            let pipeline = bench.adder.pipeline(timeout: .seconds(50)) {
                notify.yield($0.commands.count(where: { (try? $0.result.get()) != nil }))
            }
            var arrivals = notified.makeAsyncIterator()
            var open = 0
            func wait(until limit: Int) async {
                while open > limit, let count = await arrivals.next() { open -= count }
            }
            for round in 1...3 {
                let batch = (0..<4_096).map { (command: Int64(1), correlation: UInt64($0)) }
                open += try pipeline.submit(contentsOf: batch)
                if round < 3 { await wait(until: 1) }
            }
            #expect(open == 4_097)
            // What could be sent is sent before this query is.
            _ = try await bench.adder.query(Nothing())
            #expect(bench.nodes[0].commands.count == 8_192)
            let item = try #require(held.value)
            let applied = try #require(leader.value).apply(item)
            guard case .bytes(let frame) = bench.cluster.results([applied], from: bench.nodes[0]) else { return }
            bench.nodes[0].broadcast(frame)
            await wait(until: 0)
            #expect(await bench.sum() == 12_288)
        }
    }
}

extension Bench {
    /// What a command replies; `nil` when it fails.
    fileprivate func sum(adding number: Int64) async -> Int64? { try? await adder.process(number).reply }

    /// What the machine holds.
    fileprivate func sum() async -> Int64? { try? await adder.query(Nothing()) }
}

extension TestCluster {
    /// The same with another identity.
    fileprivate func with(_ id: ClusterID) -> TestCluster {
        var other = self
        other.id = id
        return other
    }
}

extension Received {
    /// Whether it says that a session's client lives.
    fileprivate var keepsSession: Bool {
        if case .request(.keepSessions(_, [1])) = self { true } else { false }
    }
}
