import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct ShippedMachinesTests {
    private func configuration() throws -> MachineConfiguration {
        MachineConfiguration(cluster: try ClusterName("test"))
    }

    @Test("The machines that come with it are registered")
    func names() throws {
        #expect(MachineRegistry.shipped.names == ["counter", "kv", "queue"])
        #expect(
            try MachineRegistry.shipped.makeMachine(named: "kv", configuration: configuration())
                is MachineHost<KeyValue>)
    }

    @Test("The counter adds, wraps around and ignores annotations")
    func counter() throws {
        var counter = Counter()
        func add(_ amount: Int64) -> Int64 {
            var effects = Effects()
            let context = ApplyContext(
                index: 1, term: 1, time: LeaderTime(nanosecondsSince1970: 0), machineVersion: 0)
            let command = Counter.Command(amount: amount, annotation: ByteBuffer(repeating: 7, count: 100))
            return counter.apply(command, at: context, effects: &effects)
        }
        #expect(add(5) == 5)
        #expect(add(-7) == -2)
        #expect(add(.min) == .max - 1)
        #expect(add(2) == .min)
        #expect(counter.answer(Nothing(), at: QueryContext(index: 4, term: 1, machineVersion: 0)) == .min)
    }

    @Test("A hosted counter answers an encoded query")
    func hosted() throws {
        let machine = try MachineRegistry.shipped.makeMachine(named: "counter", configuration: configuration())
        var answer = ByteBuffer()
        let context = QueryContext(index: 0, term: 0, machineVersion: 0)
        #expect(try machine.answer(ByteBuffer(), at: context, into: &answer) == nil)
        #expect(answer == encoded(0 as Int64))
    }

    @Test("A counter's snapshot is its number")
    func counterSnapshot() throws {
        var counter = Counter()
        var effects = Effects()
        let context = ApplyContext(
            index: 1, term: 1, time: LeaderTime(nanosecondsSince1970: 0), machineVersion: 0)
        _ = counter.apply(Counter.Command(amount: -9), at: context, effects: &effects)
        let snapshot = try #require(counter.snapshot())
        _ = counter.apply(Counter.Command(amount: 1), at: context, effects: &effects)
        let all = try pieces(of: snapshot)
        #expect(all == [encoded(-9 as Int64)])
        #expect(snapshot.liveIndexes().isEmpty)
        let copy: Counter = try restored(all)
        #expect(copy.answer(Nothing(), at: QueryContext(index: 1, term: 1, machineVersion: 0)) == -9)
        for length in [0, 1, 7, 9] {
            #expect(throws: WireError.self) {
                try restored([ByteBuffer(repeating: 0, count: length)], as: Counter.self)
            }
        }
    }
}
