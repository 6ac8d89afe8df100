import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// What machines want done, and what they are told beside their commands.
@Suite struct EffectsTests {
    /// A running cluster of the scripted machine, and a client of its leader.
    final class Rig {
        let recorder = Scripted.Recorder()
        let fleet: KernelFleet
        let count: Int
        private(set) var clients: [Int: TestClient] = [:]

        init(_ count: Int = 3, _ change: (inout KernelConfiguration) -> Void = { _ in }) throws {
            self.count = count
            var configuration = KernelConfiguration()
            configuration.sessionLease = .seconds(10)
            change(&configuration)
            fleet = try KernelFleet(count, machines: .scripted(recorder), configuration: configuration)
            try fleet.start("c", machine: "scripted", on: Array(1...count))
        }

        var leader: Int { get throws { try #require(fleet.leader(of: "c")) } }

        func client(_ number: Int) -> TestClient {
            if let client = clients[number] { return client }
            let client = fleet.client(of: fleet[number])
            clients[number] = client
            return client
        }

        func uid(_ number: Int) throws -> ServerUID { try #require(fleet.server("c", on: number)).uid }

        /// Has the leader apply a command, and returns its reply.
        @discardableResult
        func run(_ command: String, _ place: CommandPrefix.Session? = nil) throws -> String? {
            var bytes = ByteBuffer()
            Text(command).encode(into: &bytes)
            let client = client(try leader)
            let number = client.submit([bytes], prefix: CommandPrefix(session: place), to: try uid(leader))[0]
            _ = fleet.run(atMost: 2_000) { client.results[number] != nil || client.rejections[number] != nil }
            return client.results[number].flatMap { try? Text(wholePiece: $0.reply).text }
        }

        /// Begins a session over a connection to a node's member.
        func session(at number: Int, home: String? = nil) throws -> UInt64 {
            let client = client(number)
            let home = try home.map { try NodeName($0) }
            let response = client.response(
                client.ask(.openSession(try uid(number), home: home, timeoutMilliseconds: 5_000)))
            guard case .sessionOpened(let opened)? = response else {
                throw FlotillaError(.internalError, "no session: \(String(describing: response))")
            }
            return opened.id
        }

        /// What the machine of a node's member was told.
        func told(_ number: Int) throws -> [String] {
            let server = try #require(fleet.server("c", on: number))
            var answer = ByteBuffer()
            let context = QueryContext(index: server.applied, term: 1, machineVersion: 0)
            _ = try server.machine.answer(ByteBuffer(), at: context, into: &answer)
            return try Text(wholePiece: answer).text.split(separator: "; ").map(String.init)
        }

        /// Whether all members were told this, within some time.
        func allAreTold(_ texts: [String]) throws -> Bool {
            fleet.run { (1...count).allSatisfy { (try? told($0)) == texts } }
        }

        /// Has another member lead.
        func moveLeader() throws -> Int {
            let old = try leader
            fleet.kill(fleet[old])
            #expect(fleet.run { fleet.leader(of: "c").map { $0 != old } ?? false })
            try fleet.restart(fleet[old])
            clients[old] = nil
            _ = fleet.run { fleet.leader(of: "c").flatMap { fleet.server("c", on: $0) }?.core.readyToServe ?? false }
            return try leader
        }
    }

    // MARK: Timers

    @Test func `a timer fires once, through the log, on all members`() throws {
        let rig = try Rig()
        #expect(try rig.run("timer t 300") == "did timer")
        rig.fleet.run(milliseconds: 200)
        #expect(try rig.told(1) == [])
        #expect(try rig.allAreTold(["timeout t"]))
        rig.fleet.run(milliseconds: 1_000)
        #expect(try rig.told(2) == ["timeout t"])
    }

    @Test func `a timer is set anew, cancelled, and set for a time of the leader's clock`() throws {
        let rig = try Rig()
        try rig.run("timer a 300")
        rig.fleet.run(milliseconds: 200)
        try rig.run("timer a 400")
        try rig.run("timer b 100")
        try rig.run("cancel b")
        try rig.run("alarm c \(rig.fleet.now.nanoseconds + 200_000_000)")
        try rig.run("alarm past 5")
        rig.fleet.run(milliseconds: 250)
        #expect(try rig.told(1) == ["timeout past", "timeout c"])
        #expect(try rig.allAreTold(["timeout past", "timeout c", "timeout a"]))
    }

    @Test func `a timer of a leader that is gone does not fire, and the next sets its own`() throws {
        let rig = try Rig()
        try rig.run("timer lost 2000")
        try rig.run("lead timer kept 2500")
        let next = try rig.moveLeader()
        rig.fleet.run(milliseconds: 4_000)
        #expect(try rig.told(next) == ["timeout kept"])
    }

    @Test func `a timer that fires while leadership is handed over is told afterwards`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let target = leader % 3 + 1
        try rig.run("timer t 50")
        // The target hears nothing, so the leader goes on after a while.
        for other in 1...3 where other != target { rig.fleet.cut(rig.fleet[target], rig.fleet[other]) }
        let client = rig.client(leader)
        _ = client.ask(
            .transferLeadership(try rig.uid(leader), to: rig.fleet[target].name, timeoutMilliseconds: 1_000))
        #expect(rig.fleet.run { (try? rig.told(leader)) == ["timeout t"] })
    }

    @Test func `a machine that can't bear what it is told halts at that entry`() throws {
        let rig = try Rig()
        try rig.run("timer fatal 10")
        #expect(rig.fleet.run { (1...3).allSatisfy { rig.fleet.server("c", on: $0)?.failure != nil } })
    }

    // MARK: Watching

    @Test func `a session that is watched is told when it ends, and one that there is none of at once`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let (ended, ignored) = (try rig.session(at: leader), try rig.session(at: leader))
        try rig.run("watch \(ended)")
        try rig.run("watch \(ignored)")
        try rig.run("unwatch \(ignored)")
        try rig.run("watch 999")
        #expect(try rig.allAreTold(["down 999 unknown"]))
        let client = rig.client(leader)
        #expect(client.response(client.ask(.endSessions(try rig.uid(leader), [ended, ignored]))) == .done)
        #expect(try rig.allAreTold(["down 999 unknown", "down \(ended) ended"]))
    }

    @Test func `a session that falls silent is told, by whoever leads then`() throws {
        let rig = try Rig()
        let session = try rig.session(at: rig.leader)
        try rig.run("lead watch \(session)")
        _ = try rig.moveLeader()
        #expect(rig.fleet.run(atMost: 20_000) { (try? rig.told(rig.leader)) == ["down \(session) ended"] })
        // A leader after the end watches what is not there any more.
        let last = try rig.moveLeader()
        #expect(rig.fleet.run { (try? rig.told(last))?.last == "down \(session) unknown" })
    }

    @Test func `a node that is watched is told at once, and whenever it comes or goes`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let other = leader % 3 + 1
        let name = rig.fleet[other].name
        try rig.run("node \(name)")
        try rig.run("node \(rig.fleet[leader].name)")
        try rig.run("node stranger")
        let first = ["up \(name)", "up \(rig.fleet[leader].name)", "nodedown stranger"]
        #expect(try rig.allAreTold(first))
        rig.fleet.kill(rig.fleet[other])
        #expect(rig.fleet.run { (try? rig.told(leader)) == first + ["nodedown \(name)"] })
        try rig.fleet.restart(rig.fleet[other])
        #expect(rig.fleet.run { (try? rig.told(leader)) == first + ["nodedown \(name)", "up \(name)"] })
        try rig.run("nonode \(name)")
        rig.fleet.kill(rig.fleet[other])
        rig.fleet.run(milliseconds: 3_000)
        #expect(try rig.told(leader).count == 5)
    }

    // MARK: Messages

    @Test func `a message goes to the session's client, over the connection that it was last heard on`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let id = try rig.session(at: leader)
        let place = CommandPrefix.Session(id: id, serial: 1, lowestOpenSerial: 1)
        try rig.run("send hello", place)
        var hello = ByteBuffer()
        Text("hello").encode(into: &hello)
        #expect(rig.client(leader).events[SessionID(id)] == [.message(hello, .event)])
        // A repeated command has its effects once.
        try rig.run("send hello", place)
        #expect(rig.client(leader).events[SessionID(id)]?.count == 1)
        let second = rig.fleet.client(of: rig.fleet[leader])
        #expect(second.response(second.ask(.keepSessions(try rig.uid(leader), [id]))) == .done)
        try rig.run("send again", CommandPrefix.Session(id: id, serial: 2, lowestOpenSerial: 2))
        #expect(second.events[SessionID(id)]?.count == 1)
        #expect(rig.client(leader).events[SessionID(id)]?.count == 1)
    }

    @Test func `what a new leader says waits for the session's client, who is told that the old one leads no more`()
        throws
    {
        let rig = try Rig()
        let leader = try rig.leader
        let id = try rig.session(at: leader)
        let target = leader % 3 + 1
        let client = rig.client(leader)
        _ = client.ask(.transferLeadership(try rig.uid(leader), to: rig.fleet[target].name, timeoutMilliseconds: 2_000))
        #expect(rig.fleet.run { rig.fleet.leader(of: "c") == target })
        #expect(rig.fleet.run { client.events[SessionID(id)] == [.deposed] })
        #expect(rig.fleet.run { rig.fleet.server("c", on: target)?.core.readyToServe ?? false })
        try rig.run("send waiting", CommandPrefix.Session(id: id, serial: 1, lowestOpenSerial: 1))
        let next = rig.client(target)
        #expect(next.events.isEmpty)
        #expect(next.response(next.ask(.keepSessions(try rig.uid(target), [id]))) == .done)
        #expect(next.events[SessionID(id)]?.count == 1)
    }

    @Test func `what waits for a session is bounded`() throws {
        let rig = try Rig(1)
        let id = try rig.session(at: 1)
        rig.fleet.server("c", on: 1)?.sessions.links.removeAll()
        for serial in 1...1_000 as ClosedRange<UInt64> {
            let text = String(repeating: "x", count: 200)
            try rig.run("send \(text)", CommandPrefix.Session(id: id, serial: serial, lowestOpenSerial: serial))
        }
        let server = try #require(rig.fleet.server("c", on: 1))
        #expect(server.counters.droppedSessionEvents > 600)
        let kept = try #require(server.sessions.waiting[id])
        #expect(UInt64(kept.count) + server.counters.droppedSessionEvents == 1_000)
    }

    @Test func `a local message is sent by the voter on the session's own node, else by the leader`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let home = leader % 3 + 1
        let id = try rig.session(at: leader, home: "\(rig.fleet[home].name)")
        let local = rig.client(home)
        _ = local.ask(.keepSessions(try rig.uid(home), [id]))
        try rig.run("local near", CommandPrefix.Session(id: id, serial: 1, lowestOpenSerial: 1))
        #expect(rig.fleet.run { local.events[SessionID(id)]?.count == 1 })
        #expect(rig.client(leader).events.isEmpty)
        let stranger = try rig.session(at: leader, home: "elsewhere")
        try rig.run("local far", CommandPrefix.Session(id: stranger, serial: 1, lowestOpenSerial: 1))
        #expect(rig.client(leader).events[SessionID(stranger)]?.count == 1)
    }

    // MARK: Commands, handlers, the log

    @Test func `a machine appends a command, and a session is told of its reply`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        try rig.run("append one")
        let id = try rig.session(at: leader)
        try rig.run("notify two", CommandPrefix.Session(id: id, serial: 1, lowestOpenSerial: 1))
        #expect(try rig.allAreTold(["one", "two"]))
        guard case .applied(77, let index, let reply)? = rig.client(leader).events[SessionID(id)]?.first else {
            Issue.record("\(rig.client(leader).events)")
            return
        }
        #expect(try Text(wholePiece: reply) == "did say")
        #expect(index == rig.fleet.server("c", on: leader)?.applied)
    }

    @Test func `a command of the machine's own waits while leadership is handed over`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let target = leader % 3 + 1
        for other in 1...3 where other != target { rig.fleet.cut(rig.fleet[target], rig.fleet[other]) }
        let client = rig.client(leader)
        let server = try #require(rig.fleet.server("c", on: leader))
        var command = ByteBuffer()
        Text("append one").encode(into: &command)
        // Committed while the transfer is under way: the entry is on its way when it begins.
        client.send { buffer in
            buffer.writeFrame(.commands) { buffer in
                let start = buffer.writerIndex
                CommandBatch.begin(target: server.uid, into: &buffer)
                CommandBatch.append(correlation: 900, into: &buffer) { buffer in
                    CommandPrefix().encode(into: &buffer)
                    buffer.writeImmutableBuffer(command)
                }
                CommandBatch.setCount(1, from: start, in: &buffer)
            }
        }
        _ = client.ask(
            .transferLeadership(server.uid, to: rig.fleet[target].name, timeoutMilliseconds: 1_000))
        #expect(rig.fleet.run { (try? rig.told(leader)) == ["one"] })
    }

    @Test func `what a leader has seen of sessions is forgotten with its lead, since the count may begin anew`() {
        var watch = MachineWatch()
        watch.endsSeen = 1
        watch.changeLead(true)
        #expect(watch.endsSeen == nil)
    }

    @Test func `a message that is too long is dropped, and that is said`() throws {
        let rig = try Rig(1) { $0.commandBytes = 100 }
        let id = try rig.session(at: 1)
        let server = try #require(rig.fleet.server("c", on: 1))
        var effects = Effects()
        effects.send(Text(String(repeating: "x", count: 200)), to: SessionID(id))
        rig.fleet[1].kernel.issue(effects, of: server)
        rig.fleet.settle()
        #expect(rig.client(1).events.isEmpty)
        #expect(rig.fleet[1].events.contains { if case .effectDropped = $0 { true } else { false } })
    }

    @Test func `a machine goes through a long log entry by entry`() throws {
        let rig = try Rig(1)
        let server = try #require(rig.fleet.server("c", on: 1))
        // Each reading wants the next: were one carried out within the other, no stack would do.
        @Sendable func read(_ left: Int, _ effects: inout Effects) {
            effects.readLog([LogIndex(1)]) { _, effects in
                if left > 0 { read(left - 1, &effects) } else { effects.append(Text("say end")) }
            }
        }
        var effects = Effects()
        read(100_000, &effects)
        rig.fleet[1].kernel.issue(effects, of: server)
        #expect(try rig.allAreTold(["end"]))
    }

    @Test func `a client that is told more than it takes is cut off, and so knows that it misses something`() throws {
        let rig = try Rig(1)
        let id = try rig.session(at: 1)
        let server = try #require(rig.fleet.server("c", on: 1))
        let link = try #require(rig.client(1).link)
        let kernel = rig.fleet[1].kernel
        let event = SessionEvents.Event.message(ByteBuffer(repeating: 1, count: 1 << 20), [])
        for _ in 0..<40 { kernel.tell([event], to: SessionID(id), of: server) }
        #expect(kernel.links[link]?.closesAfterFlush == true)
        #expect(server.counters.droppedSessionEvents >= 1)
        rig.fleet.settle()
        #expect(kernel.links[link] == nil)
    }

    @Test func `a handler is called by the leader's node alone, and not again after a restart`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        try rig.run("call first")
        var argument = ByteBuffer()
        Text("first").encode(into: &argument)
        let server = try ServerID("c@\(rig.fleet[leader].name)")
        #expect(rig.fleet[leader].calls == [HandlerCall(handler: "handler", server: server, argument: argument)])
        rig.fleet.run(milliseconds: 2_000)
        for number in 1...3 { rig.fleet.kill(rig.fleet[number]) }
        for number in 1...3 { try rig.fleet.restart(rig.fleet[number]) }
        #expect(rig.fleet.run { rig.fleet.leader(of: "c") != nil })
        rig.fleet.run(milliseconds: 1_000)
        #expect((1...3).map { rig.fleet[$0].calls.count }.reduce(0, +) == 1)
    }

    @Test func `commands of the log are read, and what is none is left out`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        try rig.run("collect")
        let index = try #require(rig.fleet.server("c", on: leader)).applied.rawValue
        try rig.run("read \(index) 1 \(index + 100)")
        #expect(try rig.allAreTold(["collect+nothing+nothing"]))
    }

    @Test func `the log is read by the member of a node that is named`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        let other = leader % 3 + 1
        try rig.run("collect")
        let index = try #require(rig.fleet.server("c", on: leader)).applied.rawValue
        try rig.run("readon \(rig.fleet[other].name) \(index)")
        #expect(rig.fleet.run { rig.recorder.count("cast read_one") == 1 })
        #expect(try rig.aux("call", at: other) == "follower call read_one")
        #expect(try rig.aux("call", at: leader) == "leader call ")
    }

    // MARK: Members' own parts

    @Test func `each member has a part of its own, which is told and asked`() throws {
        let rig = try Rig()
        let leader = try rig.leader
        try rig.run("aux all")
        #expect(rig.fleet.run { rig.recorder.count("cast all") == 3 })
        let other = leader % 3 + 1
        let client = rig.client(other)
        var command = ByteBuffer()
        Text("one").encode(into: &command)
        #expect(client.response(client.ask(.auxCommand(try rig.uid(other), command, waits: false))) == .done)
        #expect(try rig.aux("x", at: other) == "follower x all,one")
        #expect(try rig.aux("x", at: leader) == "leader x all")
        #expect(rig.recorder.count("aux applied") > 0)
        rig.fleet.run(milliseconds: 3_000)
        #expect(rig.recorder.count("aux tick") >= 6)
        var silent = ByteBuffer()
        Text("silent").encode(into: &silent)
        for (bytes, code) in [(silent, FlotillaError.Code.unsupported), (ByteBuffer(bytes: [9]), .malformed)] {
            guard
                case .error(let error)? = client.response(
                    client.ask(.auxCommand(try rig.uid(other), bytes, waits: true)))
            else {
                Issue.record("it answers")
                return
            }
            #expect(error.code == code)
        }
    }

    // MARK: What servers become

    @Test func `machines are told what their servers become, and time passes for the leader's`() throws {
        let rig = try Rig()
        #expect(rig.recorder.count("recovered") == 3)
        #expect(rig.recorder.count("leader") == 1)
        #expect(rig.recorder.count("preCandidate") >= 1 && rig.recorder.count("candidate") >= 1)
        let before = rig.recorder.count("tick")
        rig.fleet.run(milliseconds: 5_000)
        #expect((4...6).contains(rig.recorder.count("tick") - before))
        _ = try rig.moveLeader()
        #expect(rig.recorder.count("leader") == 2)
        #expect(rig.fleet.run { rig.recorder.count("recovered") == 4 })
        let client = rig.client(try rig.leader)
        _ = client.ask(.deleteCluster(try rig.uid(rig.leader), timeoutMilliseconds: 5_000))
        #expect(rig.fleet.run { (1...3).allSatisfy { rig.fleet.server("c", on: $0) == nil } })
        #expect(rig.recorder.count("endOfLife") == 3)
    }
}

extension EffectsTests.Rig {
    /// What a member's own part replies.
    func aux(_ text: String, at number: Int) throws -> String? {
        var command = ByteBuffer()
        Text(text).encode(into: &command)
        let client = client(number)
        guard
            case .auxReply(let reply)? = client.response(
                client.ask(.auxCommand(try uid(number), command, waits: true)))
        else { return nil }
        return try Text(wholePiece: reply).text
    }
}
