import FlotillaMachine

extension MachineRegistry {
    /// The machines that every node can run: `kv`, which is `KeyValue`, `counter`, which is `Counter`,
    /// and `queue`, which is `Queue`.
    public static var shipped: MachineRegistry {
        var registry = MachineRegistry()
        registry.register(KeyValue.self, as: "kv")
        registry.register(Counter.self, as: "counter")
        registry.register(Queue.self, as: "queue")
        return registry
    }
}
