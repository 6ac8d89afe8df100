import FlotillaMachine

extension MachineRegistry {
    /// The machines that every node can run: `kv`, which is `KeyValue`, and `counter`, which is `Counter`.
    public static var shipped: MachineRegistry {
        var registry = MachineRegistry()
        registry.register(KeyValue.self, as: "kv")
        registry.register(Counter.self, as: "counter")
        return registry
    }
}
