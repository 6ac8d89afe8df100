import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// Client sessions over the lives of leaders and clients.
@Suite struct SessionTests {
    private func started(
        _ count: Int = 3, _ change: (inout KernelConfiguration) -> Void = { _ in }
    ) throws -> (KernelFleet, leader: Int) {
        var configuration = KernelConfiguration()
        configuration.sessionLease = .seconds(10)
        change(&configuration)
        let fleet = try KernelFleet(count, configuration: configuration)
        try fleet.start("c", machine: "counter", on: Array(1...count))
        return (fleet, try #require(fleet.leader(of: "c")))
    }

    private func uid(_ number: Int, _ fleet: KernelFleet) throws -> ServerUID {
        try #require(fleet.server("c", on: number)).uid
    }

    private func open(_ client: TestClient, at server: ServerUID) -> ClientResponse? {
        client.response(client.ask(.openSession(server, home: nil, timeoutMilliseconds: 5_000)))
    }

    private func session(_ client: TestClient, at server: ServerUID) throws -> UInt64 {
        guard case .sessionOpened(let session)? = open(client, at: server) else {
            throw FlotillaError(.internalError, "no session")
        }
        #expect(session.leaseMilliseconds == 10_000)
        return session.id
    }

    private func add(
        _ amount: Int64, as serial: UInt64, open lowest: UInt64 = 1, of session: UInt64, _ client: TestClient,
        to server: ServerUID
    ) -> UInt64 {
        var command = ByteBuffer()
        command.writeLittle(amount)
        let place = CommandPrefix.Session(id: session, serial: serial, lowestOpenSerial: lowest)
        return client.submit([command], prefix: CommandPrefix(session: place), to: server)[0]
    }

    @Test func `a command takes effect once, whoever leads when it comes again`() throws {
        let (fleet, leader) = try started()
        let client = fleet.client(of: fleet[leader])
        let id = try session(client, at: try uid(leader, fleet))
        #expect(client.number(add(5, as: 1, of: id, client, to: try uid(leader, fleet))) == 5)
        #expect(client.number(add(5, as: 1, of: id, client, to: try uid(leader, fleet))) == 5)
        #expect(client.number(add(2, as: 2, of: id, client, to: try uid(leader, fleet))) == 7)
        fleet.kill(fleet[leader])
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != leader } ?? false })
        let next = try #require(fleet.leader(of: "c"))
        let other = fleet.client(of: fleet[next])
        #expect(other.number(add(2, as: 2, of: id, other, to: try uid(next, fleet))) == 7)
        #expect(other.number(add(1, as: 3, open: 3, of: id, other, to: try uid(next, fleet))) == 8)
        let gone = add(5, as: 1, of: id, other, to: try uid(next, fleet))
        #expect(other.rejection(gone)?.code == .replyGone)
        // And after a restart of the whole node, from its log.
        fleet.kill(fleet[next])
        try fleet.restart(fleet[leader])
        try fleet.restart(fleet[next])
        #expect(fleet.run { fleet.leader(of: "c") != nil })
        let last = try #require(fleet.leader(of: "c"))
        let third = fleet.client(of: fleet[last])
        #expect(third.number(add(1, as: 3, open: 3, of: id, third, to: try uid(last, fleet))) == 8)
    }

    @Test func `a session whose client is silent ends, and one that is kept does not`() throws {
        let (fleet, leader) = try started()
        let server = try uid(leader, fleet)
        let client = fleet.client(of: fleet[leader])
        let (silent, kept) = (try session(client, at: server), try session(client, at: server))
        for _ in 0..<4 {
            fleet.run(milliseconds: 4_000)
            #expect(client.response(client.ask(.keepSessions(server, [kept]))) == .done)
        }
        for number in 1...3 {
            #expect(fleet.server("c", on: number)?.machine.sessions.ids == [kept], "on every member")
        }
        guard case .error(let gone)? = client.response(client.ask(.keepSessions(server, [kept, silent]))) else {
            Issue.record("a session that ended is kept")
            return
        }
        #expect(gone.code == .sessionExpired)
        let refused = add(1, as: 1, of: silent, client, to: server)
        #expect(client.rejection(refused)?.code == .sessionExpired)
        #expect(client.number(add(1, as: 1, of: kept, client, to: server)) == 1)
        #expect(fleet.server("c", on: leader)?.sessions.seen.keys.sorted() == [kept])
        let before = try #require(fleet.server("c", on: leader)).core.lastIndex
        fleet.run(milliseconds: 3_000)
        #expect(fleet.server("c", on: leader)?.core.lastIndex == before, "an end is written once")
    }

    @Test func `a client ends its session, once`() throws {
        let (fleet, leader) = try started()
        let server = try uid(leader, fleet)
        let client = fleet.client(of: fleet[leader])
        let (ended, kept) = (try session(client, at: server), try session(client, at: server))
        #expect(client.response(client.ask(.endSessions(server, [ended, 999]))) == .done)
        #expect(fleet.run { fleet.server("c", on: leader)?.machine.sessions.ids == [kept] })
        let before = try #require(fleet.server("c", on: leader)).core.lastIndex
        #expect(client.response(client.ask(.endSessions(server, [ended]))) == .done)
        #expect(fleet.server("c", on: leader)?.core.lastIndex == before)
    }

    @Test func `another leader grants a whole lease`() throws {
        let (fleet, leader) = try started()
        let client = fleet.client(of: fleet[leader])
        let id = try session(client, at: try uid(leader, fleet))
        fleet.run(milliseconds: 8_000)
        fleet.kill(fleet[leader])
        #expect(fleet.run { fleet.leader(of: "c").map { $0 != leader } ?? false })
        let other = try #require(fleet.leader(of: "c"))
        let next = try #require(fleet.server("c", on: other))
        fleet.run(milliseconds: 8_000)
        #expect(next.machine.sessions.contains(id))
        fleet.run(milliseconds: 4_000)
        #expect(!next.machine.sessions.contains(id))
    }

    @Test func `there are so many sessions and no more, and only a leader begins or keeps them`() throws {
        let (fleet, leader) = try started { $0.sessionsPerCluster = 2 }
        let server = try uid(leader, fleet)
        let client = fleet.client(of: fleet[leader])
        for _ in 0..<2 { _ = try session(client, at: server) }
        guard case .error(let error)? = open(client, at: server) else {
            Issue.record("one more was begun")
            return
        }
        #expect(error.code == .busy && error.message.contains("2 client sessions"))
        let follower = leader % 3 + 1
        let other = fleet.client(of: fleet[follower])
        for request in [
            ClientRequest.openSession(try uid(follower, fleet), home: nil, timeoutMilliseconds: 1_000),
            .keepSessions(try uid(follower, fleet), [1]), .endSessions(try uid(follower, fleet), [1]),
        ] {
            guard case .error(let refusal)? = other.response(other.ask(request)) else {
                Issue.record("a follower takes it")
                return
            }
            #expect(refusal.code == .notLeader && refusal.leader?.node == fleet[leader].name)
        }
    }

    @Test func `a session that can't begin in time is told`() throws {
        let (fleet, leader) = try started()
        let server = try uid(leader, fleet)
        let client = fleet.client(of: fleet[leader])
        for other in 1...3 where other != leader { fleet.cut(fleet[leader], fleet[other]) }
        let number = client.ask(.openSession(server, home: nil, timeoutMilliseconds: 100))
        #expect(fleet.run { client.response(number) != nil })
        guard case .error(let error)? = client.response(number) else {
            Issue.record("\(String(describing: client.response(number)))")
            return
        }
        #expect(error.code == .timeout)
    }
}
