import FlotillaConsensus
import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel
@testable import FlotillaStorage

@Suite struct AbsentMachineTests {
    private func creation(_ name: String, machine: String, low: UInt64, node: NodeID) throws -> ServerCreation {
        let id = ServerID(cluster: try ClusterName(name), node: try NodeName("n1"))
        let uid = ServerUID(high: 1, low: low)
        let address = NodeAddress(host: "host", port: 1)
        return ServerCreation(
            uid: uid, clusterID: ClusterID(high: 1, low: low), clusterName: try ClusterName(name), id: id,
            machine: machine, machineConfiguration: ByteBuffer(),
            initial: ClusterConfiguration(members: [Member(id: id, uid: uid, nodeID: node, address: address)]),
            createdAt: 1)
    }

    @Test func `a recovered server without its machine is halted, and the others start`() throws {
        let node = NodeID(high: 7, low: 1)
        var recovered = RecoveredNode(nodeID: node)
        recovered.servers = [
            RecoveredServer(creation: try creation("gone", machine: "removed", low: 1, node: node)),
            RecoveredServer(creation: try creation("here", machine: "counter", low: 2, node: node)),
        ]
        let kernel = Kernel(
            identity: Hello.Node(
                id: node, name: try NodeName("n1"), incarnation: Incarnation(2),
                address: NodeAddress(host: "host", port: 1)),
            configuration: KernelConfiguration(), registry: .shipped, seeds: [], recovered: recovered, seed: 1,
            now: Instant(nanoseconds: 1), wallClock: 1)
        let servers = kernel.overview().servers
        #expect(servers.map(\.state) == ["halted", "follower"])
        #expect(servers[0].note.contains("removed"))
        #expect(kernel.output.events.contains { if case .machineHalted = $0 { true } else { false } })
    }
}
