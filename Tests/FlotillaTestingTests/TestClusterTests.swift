import FlotillaMachine
import FlotillaMachines
import FlotillaTesting
import FlotillaWire
import NIOCore
import Testing

/// Counts down, and throws at zero.
private struct Fuse: StateMachine {
    struct Burnt: Error {}
    var left: Int64 = 3
    init(configuration: MachineConfiguration) throws {
        guard configuration.settings.readableBytes == 0 else { throw Burnt() }
    }
    mutating func apply(_ command: Nothing, at context: ApplyContext, effects: inout Effects) throws -> Int64 {
        left -= 1
        if left == 0 { throw Burnt() }
        effects.setTimer("again", after: .seconds(30))
        effects.call("noise", left)
        return left
    }
    mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) {
        if case .timeout = event { left += 10 }
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { left }
}

@Suite struct TestClusterTests {
    @Test func `a few lines make a cluster that survives its leader`() throws {
        let cluster = try TestCluster(of: Counter.self)
        #expect(try cluster.process(Counter.Command(amount: 5)) == 5)
        cluster.stop(try cluster.leader)
        #expect(try cluster.process(Counter.Command(amount: 2)) == 7)
        #expect(try cluster.query(Nothing()) == 7)
    }

    @Test func `all members that come back have the same`() throws {
        let cluster = try TestCluster(of: KeyValue.self, members: 5)
        let first = try cluster.leader
        for number in 0..<50 {
            try cluster.process(.put(KeyValue.Key("k\(number)"), ByteBuffer(integer: number), ifIndex: nil))
            if number == 20 { cluster.stop(first) }
            if number == 40 { cluster.start(first) }
        }
        try cluster.advance(by: .seconds(2))
        for member in cluster.members {
            let answer = try cluster.query(.get(KeyValue.Key("k49")), consistency: .local, of: member)
            guard case .item(let item) = answer else {
                Issue.record("member \(member): \(answer)")
                return
            }
            #expect(item.value == ByteBuffer(integer: 49))
        }
    }

    @Test func `a leader that is cut off leads no more, and no majority is told`() throws {
        let cluster = try TestCluster(of: Counter.self)
        let old = try cluster.leader
        cluster.isolate(old)
        try cluster.advance(by: .seconds(5))
        #expect(try cluster.leader != old)
        let result = try cluster.result(of: Counter.Command(amount: 1))
        #expect(result.reply == 1 && result.leader != old && result.index > .zero)
        cluster.heal()
        try cluster.transferLeadership(to: old)
        #expect(try cluster.leader == old)
        for member in cluster.members where member != old { cluster.stop(member) }
        let error = #expect(throws: FlotillaError.self) { try cluster.process(Counter.Command(amount: 1)) }
        #expect(error?.code == .noLeader || error?.code == .timeout)
    }

    @Test func `consumers of a queue, with sessions and messages`() throws {
        let cluster = try TestCluster(of: Queue.self)
        let (first, second) = (try cluster.openSession(), try cluster.openSession())
        try cluster.process(.subscribe(prefetch: 1), in: first)
        try cluster.process(.subscribe(prefetch: 1), in: second)
        for text in ["a", "b", "c"] { try cluster.process(.enqueue(ByteBuffer(string: text))) }
        func bodies(_ session: SessionID) throws -> [String] {
            try cluster.takeMessages(to: session).flatMap(\.list).map { String(buffer: $0.body) }
        }
        #expect(try bodies(first) == ["a"])
        #expect(try bodies(second) == ["b"])
        try cluster.endSession(first)
        try cluster.process(.settle([2]), in: second)
        #expect(try bodies(second) == ["a"])
        // Another leader sends anew what is held.
        cluster.stop(try cluster.leader)
        try cluster.advance(by: .seconds(3))
        #expect(try bodies(second) == ["a"])
    }

    @Test func `timers fire in virtual time, and handlers are shown`() throws {
        let cluster = try TestCluster(of: Fuse.self, members: 1)
        #expect(try cluster.process(Nothing()) == 2)
        try cluster.advance(by: .seconds(29))
        #expect(try cluster.query(Nothing()) == 2)
        try cluster.advance(by: .seconds(2))
        #expect(try cluster.query(Nothing()) == 12)
        #expect(cluster.takeHandlerCalls().map(\.handler) == ["noise"])
        #expect(cluster.takeHandlerCalls().isEmpty)
    }

    @Test func `a machine that fails is told, and one that refuses its settings`() throws {
        let cluster = try TestCluster(of: Fuse.self, members: 3)
        try cluster.process(Nothing())
        try cluster.process(Nothing())
        let error = #expect(throws: FlotillaError.self) { try cluster.process(Nothing()) }
        #expect(error?.message.contains("Burnt") == true)
        #expect(throws: FlotillaError.self) {
            _ = try TestCluster(of: Fuse.self, settings: ByteBuffer(string: "x"))
        }
        #expect(throws: FlotillaError.self) { _ = try TestCluster(of: Counter.self, members: 8) }
    }

    @Test func `the same seed does the same`() throws {
        func run(_ seed: UInt64) throws -> [LogIndex] {
            let cluster = try TestCluster(of: Counter.self, seed: seed)
            var indexes: [LogIndex] = []
            for _ in 0..<3 {
                indexes.append(try cluster.result(of: Counter.Command(amount: 1)).index)
                cluster.stop(try cluster.leader)
                try cluster.advance(by: .seconds(1))
                for member in cluster.members { cluster.start(member) }
            }
            return indexes
        }
        #expect(try run(7) == run(7))
    }
}
