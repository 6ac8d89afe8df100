import FlotillaMachine
import FlotillaNode
import FlotillaWire
import Logging
import Seats
import ServiceLifecycle
import UnixSignals

/// A node that has the machine `seats`, next to those that every node has.
///
///     seats-node NAME HOST:PORT DIRECTORY [PEER=HOST:PORT …]
@main
struct SeatsNode {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 3 else {
            print("usage: seats-node NAME HOST:PORT DIRECTORY [PEER=HOST:PORT …]")
            return
        }
        let (name, address, directory) = (arguments[1], arguments[2], arguments[3])
        let peers = try arguments.dropFirst(3).map { peer in
            let parts = peer.split(separator: "=", maxSplits: 1).map(String.init)
            return (name: try NodeName(parts[0]), address: try NodeAddress(parts.last ?? ""))
        }
        let configuration = NodeConfiguration(
            name: try NodeName(name), listen: try NodeAddress(address), dataDirectory: directory, peers: peers)
        var machines = MachineRegistry()
        machines.register(Seats.self, as: "seats")
        let node = FlotillaNode(configuration: configuration, machines: machines) { print("ready \($0)") }
        let services = ServiceGroup(
            services: [node], gracefulShutdownSignals: [.sigterm, .sigint], logger: node.logger)
        try await services.run()
    }
}
