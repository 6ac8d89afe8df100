import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

struct MachineRegistryTests {
    private struct Constant: StateMachine {
        init(configuration: MachineConfiguration) {}
        func apply(_ command: Nothing, at context: ApplyContext, effects: inout Effects) -> Nothing { Nothing() }
        func answer(_ query: Nothing, at context: QueryContext) -> Int64 { 42 }
    }

    private func configuration(settings: String = "") throws -> MachineConfiguration {
        MachineConfiguration(cluster: try ClusterName("test"), settings: ByteBuffer(string: settings))
    }

    @Test("Names are listed in order")
    func names() {
        var registry = MachineRegistry()
        #expect(registry.names == [])
        for name in ["b", "c", "a"] { registry.register(Adder.self, as: name) }
        #expect(registry.names == ["a", "b", "c"])
    }

    @Test("Each machine starts anew")
    func independent() throws {
        let (first, second) = (try AdderServer(), try AdderServer())
        var run = RunBuilder()
        run.append(1)
        try first.apply(run.bytes)
        #expect(try first.sum() == 1)
        #expect(try second.sum() == 0)
    }

    @Test("A later registration under the same name wins")
    func replacement() throws {
        var registry = MachineRegistry()
        registry.register(Adder.self, as: "machine")
        registry.register(Constant.self, as: "machine")
        #expect(registry.names == ["machine"])
        let machine = try registry.makeMachine(named: "machine", configuration: configuration())
        #expect(machine is MachineHost<Constant>)
    }

    @Test("An unknown name is an error that says which names there are")
    func unknownName() throws {
        var registry = MachineRegistry()
        registry.register(Adder.self, as: "adder")
        let configuration = try configuration()
        #expect {
            try registry.makeMachine(named: "adderr", configuration: configuration)
        } throws: { error in
            guard let error = error as? FlotillaError else { return false }
            return error.code == .unknownMachine && error.message.contains("adderr")
                && error.message.hasSuffix("there are adder")
        }
    }

    @Test("A configuration that the machine refuses is an error that names the machine")
    func badConfiguration() throws {
        var registry = MachineRegistry()
        registry.register(Adder.self, as: "adder")
        let configuration = try configuration(settings: "speed=11")
        #expect {
            try registry.makeMachine(named: "adder", configuration: configuration)
        } throws: { error in
            guard let error = error as? FlotillaError else { return false }
            return error.code == .invalidArgument && error.message.contains("'adder'")
                && error.message.contains("BadSettings")
        }
    }
}
