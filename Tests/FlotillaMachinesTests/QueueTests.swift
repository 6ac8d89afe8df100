import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaMachines

@Suite struct QueueTests {
    /// A queue, and what it has sent and wants to watch.
    struct Rig {
        var queue = Queue()
        var index: LogIndex = .zero
        /// What was sent to each session, in order.
        var sent: [SessionID: [Queue.Delivery]] = [:]
        var watched: Set<SessionID> = []

        init(_ change: (inout Queue.Settings) -> Void = { _ in }) throws {
            var settings = Queue.Settings()
            change(&settings)
            var bytes = ByteBuffer()
            settings.encode(into: &bytes)
            queue = try Queue(configuration: MachineConfiguration(cluster: try ClusterName("q"), settings: bytes))
        }

        @discardableResult
        mutating func run(_ command: Queue.Command, by session: UInt64? = nil) -> Queue.Reply {
            index = index.next
            let context = ApplyContext(
                index: index, term: 1, time: LeaderTime(nanosecondsSince1970: 1), machineVersion: 0,
                session: session.map { SessionID($0) })
            var effects = Effects()
            let reply = queue.apply(command, at: context, effects: &effects)
            take(effects)
            return reply
        }

        mutating func tell(_ event: MachineEvent) {
            index = index.next
            var effects = Effects()
            let context = ApplyContext(
                index: index, term: 1, time: LeaderTime(nanosecondsSince1970: 1), machineVersion: 0)
            queue.handle(event, at: context, effects: &effects)
            take(effects)
        }

        mutating func lead() {
            var effects = Effects()
            queue.entered(.leader, effects: &effects)
            take(effects)
        }

        private mutating func take(_ effects: Effects) {
            for effect in effects.list {
                switch effect {
                case .send(let message):
                    let list = (try? Queue.Deliveries(wholePiece: message.bytes))?.list ?? []
                    sent[message.session, default: []] += list
                case .monitor(.session(let session)): watched.insert(session)
                case .demonitor(.session(let session)): watched.remove(session)
                default: Issue.record("\(effect)")
                }
            }
        }

        mutating func enqueue(_ texts: String...) {
            for text in texts { run(.enqueue(ByteBuffer(string: text))) }
        }

        /// What was sent to a session, in a few letters.
        func got(_ session: UInt64) -> [String] {
            (sent[SessionID(session)] ?? []).map { "\($0.id):\(String(buffer: $0.body))x\($0.count)" }
        }

        var status: Queue.Status? {
            let answer = queue.answer(.status, at: QueryContext(index: index, term: 1, machineVersion: 0))
            if case .status(let status) = answer { return status } else { return nil }
        }

        func page(_ query: Queue.Query) -> [UInt64] {
            let answer = queue.answer(query, at: QueryContext(index: index, term: 1, machineVersion: 0))
            if case .messages(let messages) = answer { return messages.map(\.id) } else { return [] }
        }
    }

    @Test func `consumers get messages in turn, and no more than they may hold`() throws {
        var rig = try Rig()
        rig.enqueue("a", "b", "c", "d", "e")
        #expect(rig.run(.subscribe(prefetch: 2), by: 7) == .done(count: 1))
        #expect(rig.got(7) == ["1:ax1", "2:bx1"])
        rig.run(.subscribe(prefetch: 2), by: 8)
        #expect(rig.got(8) == ["3:cx1", "4:dx1"])
        #expect(rig.status == Queue.Status(ready: 1, held: 4, dead: 0, consumers: 2, bytes: 5))
        #expect(rig.run(.settle([1, 3, 99]), by: 7) == .done(count: 1), "what another holds is not settled")
        #expect(rig.got(7) == ["1:ax1", "2:bx1", "5:ex1"])
        rig.run(.settle([2, 5]), by: 7)
        rig.run(.settle([3, 4]), by: 8)
        rig.enqueue("f", "g", "h")
        #expect(rig.got(8).suffix(2) == ["6:fx1", "8:hx1"])
        #expect(rig.got(7).last == "7:gx1")
        #expect(rig.watched == [SessionID(7), SessionID(8)])
    }

    @Test func `a message that is given back goes first, and counts`() throws {
        var rig = try Rig { $0.deliveriesMax = 2 }
        rig.enqueue("a", "b")
        rig.run(.subscribe(prefetch: 1), by: 7)
        #expect(rig.run(.giveBack([1, 2]), by: 7) == .done(count: 1))
        #expect(rig.got(7) == ["1:ax1", "1:ax2"])
        rig.run(.giveBack([1]), by: 7)
        #expect(rig.got(7).last == "2:bx1", "it was delivered twice, and is a dead letter")
        #expect(rig.page(.dead(after: 0, limit: 10)) == [1])
        #expect(rig.run(.settle([1]), by: 7) == .done(count: 0))
        #expect(rig.run(.revive([1, 2])) == .done(count: 1))
        rig.run(.settle([2]), by: 7)
        #expect(rig.got(7).last == "1:ax3", "the count goes on")
        rig.run(.reject([1]), by: 7)
        #expect(rig.run(.drop([1, 5])) == .done(count: 1))
        #expect(rig.status == Queue.Status(ready: 0, held: 0, dead: 0, consumers: 1, bytes: 0))
    }

    @Test func `what a consumer holds goes to others when it is gone, in order`() throws {
        var rig = try Rig()
        rig.run(.subscribe(prefetch: 3), by: 7)
        rig.enqueue("a", "b", "c", "d")
        rig.run(.subscribe(prefetch: 10), by: 8)
        #expect(rig.got(8) == ["4:dx1"])
        rig.run(.settle([2]), by: 7)
        rig.tell(.down(SessionID(7), .ended))
        #expect(rig.got(8) == ["4:dx1", "1:ax2", "3:cx2"])
        rig.tell(.down(SessionID(99), .unknown))
        #expect(rig.run(.unsubscribe, by: 8) == .done(count: 1))
        #expect(rig.page(.ready(after: 0, limit: 10)) == [1, 3, 4])
        #expect(rig.page(.ready(after: 1, limit: 1)) == [3])
        #expect(rig.watched == [SessionID(7)])
        // Nobody holds it, so anybody may settle it.
        #expect(rig.run(.settle([3])) == .done(count: 1))
    }

    @Test func `a new leader watches the consumers and sends anew what they hold; so does a consumer's wish`() throws {
        var rig = try Rig()
        rig.run(.subscribe(prefetch: 2), by: 7)
        rig.enqueue("a", "b", "c")
        rig.watched = []
        rig.lead()
        #expect(rig.watched == [SessionID(7)])
        #expect(rig.got(7) == ["1:ax1", "2:bx1", "1:ax1", "2:bx1"])
        #expect(rig.run(.resume, by: 7) == .done(count: 2))
        #expect(rig.got(7).count == 6)
    }

    @Test func `a key is taken once`() throws {
        var rig = try Rig()
        let key = ByteBuffer(string: "order 5")
        #expect(rig.run(.enqueue(ByteBuffer(string: "a"), key: key)) == .enqueued(id: 1, isNew: true))
        #expect(rig.run(.enqueue(ByteBuffer(string: "b"), key: key)) == .enqueued(id: 1, isNew: false))
        rig.run(.settle([1]))
        #expect(rig.run(.enqueue(ByteBuffer(string: "c"), key: key)) == .enqueued(id: 1, isNew: false))
        for number in 0..<Queue.Settings.keysKept {
            rig.run(.enqueue(ByteBuffer(), key: ByteBuffer(integer: number)))
        }
        let last = UInt64(Queue.Settings.keysKept) + 2
        #expect(rig.run(.enqueue(ByteBuffer(), key: key)) == .enqueued(id: last, isNew: true), "it is forgotten by now")
    }

    @Test func `a queue that is full takes no more, and only sessions consume`() throws {
        var rig = try Rig {
            $0.messagesMax = 2
            $0.bytesMax = 10
        }
        #expect(rig.run(.enqueue(ByteBuffer(repeating: 1, count: 11))) == .full)
        rig.enqueue("a", "b")
        #expect(rig.run(.enqueue(ByteBuffer(string: "c"))) == .full)
        for command in [.subscribe(prefetch: 1), .unsubscribe, .resume] as [Queue.Command] {
            #expect(rig.run(command) == .noSession)
        }
        var zero = ByteBuffer()
        var settings = Queue.Settings()
        settings.deliveriesMax = 0
        settings.encode(into: &zero)
        #expect(throws: WireError.self) {
            _ = try Queue(configuration: MachineConfiguration(cluster: try ClusterName("q"), settings: zero))
        }
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `whatever happens, each message is ready, held by one, dead or gone, also over snapshots`(seed: UInt64) throws
    {
        var draws = Draws(state: seed)
        var rig = try Rig { $0.deliveriesMax = 3 }
        var settled: Set<UInt64> = []
        for step in 0..<2_000 {
            let session = UInt64.random(in: 1...4, using: &draws)
            let some = (0..<3).map { _ in UInt64.random(in: 1...max(1, rig.queue.lastID), using: &draws) }
            switch Int.random(in: 0..<20, using: &draws) {
            case 0..<8: rig.enqueue("m\(step)")
            case 8..<10: rig.run(.subscribe(prefetch: .random(in: 1...5, using: &draws)), by: session)
            case 10: rig.tell(.down(SessionID(session), .ended))
            case 11: rig.run(.giveBack(some), by: session)
            case 12: rig.run(.reject(some), by: session)
            case 13: rig.run(.revive(some))
            case 14: rig.lead()
            default:
                let before = Set(rig.queue.entries.keys)
                rig.run(.settle(some), by: session)
                settled.formUnion(before.subtracting(rig.queue.entries.keys))
            }
            check(rig.queue, settled, step)
            if step % 100 == 99 { rig.queue = try restored(rig.queue) }
        }
        #expect(!settled.isEmpty && !rig.queue.entries.isEmpty)
    }

    private func check(_ queue: Queue, _ settled: Set<UInt64>, _ step: Int) {
        let held = queue.consumers.flatMap(\.held)
        let all = held + queue.ready + queue.dead
        #expect(Set(all).count == all.count && Set(all) == Set(queue.entries.keys), "step \(step)")
        #expect(Array(queue.ready) == queue.ready.sorted() && Array(queue.dead) == queue.dead.sorted())
        #expect(queue.consumers.allSatisfy { $0.held.count <= 5 })
        #expect(
            queue.consumers.allSatisfy { consumer in
                consumer.held.allSatisfy { queue.entries[$0]?.holder == consumer.session }
            })
        #expect(queue.bytes == queue.entries.values.reduce(0) { $0 + $1.body.readableBytes })
        #expect(settled.isDisjoint(with: all), "what was settled never comes back")
        let isIdle = queue.consumers.allSatisfy { $0.held.count >= $0.prefetch }
        #expect(queue.ready.isEmpty || isIdle, "nothing waits while somebody could take it, step \(step)")
    }

    private func restored(_ queue: Queue) throws -> Queue {
        let snapshot = try #require(queue.snapshot())
        var pieces: [ByteBuffer] = []
        while let piece = try snapshot.next() { pieces.append(piece) }
        var settings = ByteBuffer()
        queue.settings.encode(into: &settings)
        var copy = try Queue(configuration: MachineConfiguration(cluster: try ClusterName("q"), settings: settings))
        for piece in pieces { try copy.restore(piece) }
        try copy.finishRestore()
        var again: [ByteBuffer] = []
        let second = try #require(copy.snapshot())
        while let piece = try second.next() { again.append(piece) }
        #expect(again == pieces)
        return copy
    }

    @Test func `pieces that are cut, come twice or contradict one another are refused`() throws {
        var rig = try Rig()
        rig.enqueue("a", "b")
        rig.run(.subscribe(prefetch: 1), by: 7)
        let snapshot = try #require(rig.queue.snapshot())
        var pieces: [ByteBuffer] = []
        while let piece = try snapshot.next() { pieces.append(piece) }
        #expect(pieces.count == 2)
        var twice = Queue()
        try twice.restore(pieces[0])
        #expect(throws: WireError.self) { try twice.restore(pieces[0]) }
        for piece in pieces {
            for length in 0..<piece.readableBytes {
                var cut = Queue()
                let part = try #require(piece.getSlice(at: 0, length: length))
                #expect(throws: WireError.self) { try cut.restore(part) }
            }
        }
        var stranger = Queue()
        try stranger.restore(pieces[0])
        var held = pieces[1]
        held.setInteger(99 as UInt64, at: 5 + 8 + 4 + 4 + 1, endianness: .little)
        #expect(throws: WireError.self, "its holder is no consumer") { try stranger.restore(held) }
        var backwards = Queue()
        try backwards.restore(pieces[0])
        try backwards.restore(pieces[1])
        #expect(throws: WireError.self) { try backwards.restore(pieces[1]) }
    }

    @Test func `what is said to a queue and by it survives its encoding`() throws {
        let ids: [UInt64] = [1, 5]
        let commands: [Queue.Command] = [
            .enqueue(ByteBuffer(string: "a")), .enqueue(ByteBuffer(), key: ByteBuffer(string: "k")),
            .subscribe(prefetch: 3), .unsubscribe, .settle(ids), .giveBack(ids), .reject(ids), .resume, .revive(ids),
            .drop([]),
        ]
        for command in commands { #expect(try roundTrip(command) == command) }
        for reply in [.enqueued(id: 4, isNew: true), .done(count: 2), .full, .noSession] as [Queue.Reply] {
            #expect(try roundTrip(reply) == reply)
        }
        for query in [.status, .ready(after: 3, limit: 4), .dead(after: 0, limit: 1)] as [Queue.Query] {
            #expect(try roundTrip(query) == query)
        }
        let answers: [Queue.Answer] = [
            .status(Queue.Status(ready: 1, held: 2, dead: 3, consumers: 4, bytes: 5)),
            .messages([Queue.Delivery(id: 1, count: 2, body: ByteBuffer(string: "a"))]),
        ]
        for answer in answers { #expect(try roundTrip(answer) == answer) }
        for tag in [0, 10, 255] as [UInt8] {
            let bytes = ByteBuffer(bytes: [tag])
            #expect(throws: WireError.self) { try Queue.Command(wholePiece: bytes) }
            #expect(throws: WireError.self) { try Queue.Reply(wholePiece: bytes) }
            #expect(throws: WireError.self) { try Queue.Query(wholePiece: bytes) }
            #expect(throws: WireError.self) { try Queue.Answer(wholePiece: bytes) }
        }
    }

    private func roundTrip<Value: WireCodable>(_ value: Value) throws -> Value {
        var buffer = ByteBuffer()
        value.encode(into: &buffer)
        return try Value(wholePiece: buffer)
    }

    /// Draws of a fixed seed, so that a failure comes again.
    private struct Draws: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }
}
