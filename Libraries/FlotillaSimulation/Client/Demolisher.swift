import FlotillaConsensus
import FlotillaKernel
import FlotillaWire
import NIOCore

/// Starts clusters that nobody works with, and deletes them again while faults happen. What it has begun to delete must
/// be gone everywhere in the end.
final class Demolisher: ClientConnectionOwner {
    /// A cluster that is there only to be deleted.
    private struct Doomed {
        var name: ClusterName
        /// Whether somebody has put the end into its log.
        var isEnding = false
    }

    private unowned let world: World
    /// Draws of its own, so that nothing else in a world depends on them.
    private var random: Randomness
    private var doomed: [Doomed] = []
    private var connections: [ClientConnection] = []

    init(world: World) {
        self.world = world
        random = .of("demolisher", seed: world.plan.seed)
    }

    private static let host = SimulatedNetwork.clientsStart + 98

    /// What its clusters are called.
    var names: [String] { doomed.map(\.name.description) }

    /// Plans what happens while faults do, in one world of four; in a world without faults nothing does.
    func plan() {
        guard random.chance(perMille: 250), !world.plan.faults.isEmpty else { return }
        for _ in 0..<random.number(1...3) {
            world.scheduler.after(random.time(0...world.plan.options.activeNanoseconds / 2)) { [self] in start() }
        }
        let pause = random.pick([100_000_000, 700_000_000, 3_000_000_000] as [UInt64])
        demolishEvery(pause)
    }

    private func demolishEvery(_ pause: UInt64) {
        world.scheduler.after(random.time(1...pause)) { [self] in
            guard world.isRunning else { return }
            if random.chance(perMille: 500) { demolish() }
            demolishEvery(pause)
        }
    }

    private func start() {
        guard world.isRunning else { return }
        // A name and a number are a name.
        let name = try! ClusterName("doomed\(doomed.count)")
        doomed.append(Doomed(name: name))
        var members = Array(world.computers.indices)
        let size = min(members.count, random.pick([1, 2, 3, 3, 3, 5]))
        while members.count > size { members.remove(at: random.number(0...(members.count - 1))) }
        let request = ClientRequest.startCluster(
            ClientRequest.StartCluster(
                cluster: ClusterID(high: random.bits(), low: random.bits() | 1), name: name, machine: "counter",
                machineConfiguration: ByteBuffer(), nodes: members.map { world.computers[$0].name },
                timeoutMilliseconds: 2_000))
        let connection = ClientConnection(from: Self.host, to: random.pick(members), owner: self, world: world)
        connections.append(connection)
        connection.send { buffer in
            buffer.writeFrame(request.frameType, correlation: 1) { request.encodeBody(into: &$0) }
        }
    }

    /// Has each cluster that has a leader end, also again: an end that was lost is asked for anew.
    private func demolish() {
        for position in doomed.indices {
            let name = doomed[position].name
            guard let leader = world.leader(ofClusterNamed: name.description),
                let process = world.computers[leader.host].serving,
                case .success? = process.act({ $0.deleteCluster(named: name) })
            else { continue }
            if !doomed[position].isEnding { world.report.count("cluster deleted") }
            doomed[position].isEnding = true
        }
    }

    /// Deletes what is left. What was started on a disk that was damaged already, or has lost it before anybody knew of the
    /// cluster, may have no majority to decide anything.
    ///
    /// - Returns: whether nothing is.
    func finish() -> Bool {
        demolish()
        return names.allSatisfy { name in
            world.servers(ofClusterNamed: name).allSatisfy { host, server in
                world.computers[host].isDamaged || !world.hasGoodMajority(server.core.configuration)
            }
        }
    }

    /// What is left, in words.
    var remains: String {
        names.flatMap { name in
            world.servers(ofClusterNamed: name).map { "\n  \(name) on n\($0.host + 1): \($0.server.core)" }
        }.joined()
    }

    func received(_ type: FrameType, correlation: UInt64, body: ByteBuffer, on connection: ClientConnection) {
        connection.close()
    }

    func ended(_ connection: ClientConnection) { connections.removeAll { $0 === connection } }
}
