import FlotillaWire

/// The state machines that a node can run, by name. The name is part of every cluster that uses the machine, on disk
/// and on the wire, so it must stay the same for as long as such a cluster exists.
public struct MachineRegistry: Sendable {
    private var factories: [String: @Sendable (MachineConfiguration) throws -> sending HostedMachine] = [:]
    private var ranges: [String: ClosedRange<MachineVersion>] = [:]

    /// No machines.
    public init() {}

    /// Adds a machine under a name; a machine that had the name before is replaced.
    public mutating func register<Machine: StateMachine>(_ type: Machine.Type, as name: String) {
        ranges[name] = Machine.versions
        factories[name] = { MachineHost(try Machine(configuration: $0), aux: Machine.makeAux(configuration: $0)) }
    }

    /// Adds machines that are hosted in another way than machines usually are.
    package mutating func register(
        _ name: String, versions: ClosedRange<MachineVersion> = 0...0,
        _ make: @escaping @Sendable (MachineConfiguration) throws -> sending HostedMachine
    ) {
        ranges[name] = versions
        factories[name] = make
    }

    /// The versions of a machine that can be run; `nil` for one that is not registered.
    public func versions(of name: String) -> ClosedRange<MachineVersion>? { ranges[name] }

    /// The registered names in order.
    public var names: [String] { factories.keys.sorted() }

    /// Makes a machine in its first state.
    ///
    /// - Throws: `FlotillaError` with `unknownMachine`, or `invalidArgument` with what the machine said of its
    ///   configuration.
    public func makeMachine(
        named name: String, configuration: MachineConfiguration
    ) throws(FlotillaError) -> sending HostedMachine {
        guard let factory = factories[name] else {
            throw FlotillaError(
                .unknownMachine, "no machine is named '\(name)' here; there are \(names.joined(separator: ", "))")
        }
        do { return try factory(configuration) } catch {
            throw FlotillaError(.invalidArgument, "machine '\(name)' refuses its configuration: \(error)")
        }
    }

    /// Makes a machine in its first state that is to take the pieces of a snapshot.
    ///
    /// - Throws: as `makeMachine`.
    public func restoreMachine(
        named name: String, configuration: MachineConfiguration
    ) throws(FlotillaError) -> MachineRestorer {
        MachineRestorer(try makeMachine(named: name, configuration: configuration))
    }
}
