import ArgumentParser
import FlotillaClient
import FlotillaMachine
import FlotillaWire
import NIOCore

/// How results are written.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}

/// What every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Nodes to connect to, separated by commas; FLOTILLA_ENDPOINTS otherwise, 127.0.0.1:7401 by default.",
            valueName: "host:port,…"))
    var endpoints: String?

    @Option(help: ArgumentHelp("How long the whole command may take.", valueName: "seconds"))
    var timeout: Double = 5

    @Option(help: ArgumentHelp("How results are written: text or json.", valueName: "format"))
    var output: OutputFormat = .text

    @Option(help: ArgumentHelp("The cluster; kv by default, for every machine.", valueName: "name"))
    var cluster = "kv"

    func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout \(timeout): a number of seconds above 0 and up to a day is needed")
        }
        _ = try Self.named(cluster)
        if let endpoints { _ = try Self.addresses(endpoints) }
    }

    /// The limit of the whole command.
    var duration: Duration { .milliseconds(Int64((timeout * 1_000).rounded(.up))) }

    /// The cluster's name.
    func clusterName() throws -> ClusterName { try Self.named(cluster) }

    private static func named(_ text: String) throws -> ClusterName {
        do { return try ClusterName(text) } catch { throw ValidationError("--cluster: \(error)") }
    }

    static func addresses(_ text: String) throws -> [NodeAddress] {
        let parts = text.split(separator: ",")
        guard !parts.isEmpty else { throw ValidationError("--endpoints: no address is given") }
        do { return try parts.map { try NodeAddress(String($0)) } } catch {
            throw ValidationError("--endpoints: \(error)")
        }
    }

    /// The nodes to connect to, from the option, the environment or the default.
    func addresses(_ context: ControlContext) throws -> [NodeAddress] {
        if let endpoints { return try Self.addresses(endpoints) }
        guard let text = context.environment["FLOTILLA_ENDPOINTS"], !text.isEmpty else {
            return [NodeAddress(host: "127.0.0.1", port: 7401)]
        }
        do { return try Self.addresses(text) } catch {
            throw ControlFailure(ControlFailure.usage, "FLOTILLA_ENDPOINTS: '\(text)' is no list of host:port")
        }
    }

    /// Does something with a connected client and shuts it down.
    func withClient<Result>(
        _ context: ControlContext, _ configure: (inout ClientConfiguration) -> Void = { _ in },
        _ body: (FlotillaClient) async throws -> Result
    ) async throws -> Result {
        var configuration = ClientConfiguration()
        configuration.timeout = duration
        configure(&configuration)
        let client = try await FlotillaClient.connect(to: addresses(context), configuration: configuration)
        do {
            let result = try await body(client)
            await client.shutdown()
            return result
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// The cluster, if its state machine is the one that the command speaks to.
    func cluster<Machine: StateMachine>(
        _ client: FlotillaClient, _ machine: String, of type: Machine.Type = Machine.self
    ) async throws -> ClusterClient<Machine> {
        let cluster = client.cluster(try clusterName(), of: type)
        let located = try await cluster.location()
        guard located.machine == machine else {
            throw ControlFailure(
                ControlFailure.refused,
                "cluster '\(cluster.name)' runs the machine '\(located.machine)'; this command needs '\(machine)'")
        }
        return cluster
    }
}

/// A command that does its work in a context.
protocol ControlCommand: ParsableCommand {
    func execute(_ context: ControlContext) async throws
}
