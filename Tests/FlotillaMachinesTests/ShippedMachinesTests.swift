import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct ShippedMachinesTests {
    private func configuration() throws -> MachineConfiguration {
        MachineConfiguration(cluster: try ClusterName("test"))
    }

    @Test("The key-value machine and the counter are registered")
    func names() throws {
        #expect(MachineRegistry.shipped.names == ["counter", "kv"])
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
        try machine.answer(ByteBuffer(), at: QueryContext(index: 0, term: 0, machineVersion: 0), into: &answer)
        #expect(answer == encoded(0 as Int64))
    }
}
