import FlotillaWire
import NIOCore

/// Whoever starts the clusters, and tries again until they are started.
final class Operator: ClientConnectionOwner {
    private unowned let world: World
    private var random: Randomness
    /// By cluster.
    private var connections: [Int: ClientConnection] = [:]
    private var correlation: UInt64 = 0
    /// The clusters that are not started yet: their identities, how often they were given up, and the open request.
    private var pending: [Int: (id: ClusterID, givenUp: Int, request: UInt64?)] = [:]

    init(world: World) {
        self.world = world
        random = .of("operator", seed: world.plan.seed)
    }

    private static let host = SimulatedNetwork.clientsStart + 99

    var hasStartedAll: Bool { pending.isEmpty }

    func start() {
        for cluster in world.plan.options.clusters.indices { pending[cluster] = (newID(), 0, nil) }
        tryAgain()
    }

    private func newID() -> ClusterID { ClusterID(high: random.bits(), low: random.bits() | 1) }

    private func tryAgain() {
        for cluster in pending.keys.sorted() { request(cluster) }
    }

    private func request(_ cluster: Int) {
        let options = world.plan.options.clusters[cluster]
        guard let entry = pending[cluster] else { return }
        correlation += 1
        let number = correlation
        pending[cluster]?.request = number
        let request = ClientRequest.startCluster(
            ClientRequest.StartCluster(
                cluster: entry.id, name: world.name(of: cluster), machine: options.machine,
                machineConfiguration: world.machineSettings,
                nodes: options.members.map { world.computers[$0].name }, timeoutMilliseconds: 2_000))
        let node = random.pick(options.members)
        // A connection for each request: whoever gives one up must not cut others off.
        connections.removeValue(forKey: cluster)?.close()
        let connection = ClientConnection(from: Self.host, to: node, owner: self, world: world)
        connections[cluster] = connection
        connection.send { buffer in
            buffer.writeFrame(request.frameType, correlation: number) { request.encodeBody(into: &$0) }
        }
        world.scheduler.after(3_000_000_000) { [self] in
            guard world.isRunning, pending[cluster]?.request == number else { return }
            // Whoever says nothing for longer than the request may take is gone without a word.
            self.request(cluster)
        }
    }

    private func retry(_ cluster: Int, _ number: UInt64, after delay: UInt64) {
        world.scheduler.after(delay) { [self] in
            guard world.isRunning, pending[cluster]?.request == number else { return }
            request(cluster)
        }
    }

    func received(_ type: FrameType, correlation: UInt64, body: ByteBuffer, on connection: ClientConnection) {
        guard let cluster = pending.keys.sorted().first(where: { pending[$0]?.request == correlation }) else { return }
        let response: ClientResponse?
        do throws(WireError) { response = try ClientResponse.decode(type, body: body) } catch {
            return world.fail(.client, "the operator can't read what it is sent: \(error)")
        }
        switch response {
        case .clusterStarted: pending[cluster] = nil
        case .error(let error) where error.code == .clusterNotFormed || error.code == .deleted:
            // Nothing of it is left where it was asked for; elsewhere there may be, so it gets another name.
            let givenUp = (pending[cluster]?.givenUp ?? 0) + 1
            world.rename(cluster, attempt: givenUp)
            pending[cluster] = (newID(), givenUp, correlation)
            retry(cluster, correlation, after: 300_000_000)
        default: retry(cluster, correlation, after: 200_000_000)
        }
    }

    func ended(_ connection: ClientConnection) {
        for cluster in pending.keys.sorted() where connections[cluster] === connection {
            if let number = pending[cluster]?.request { retry(cluster, number, after: 100_000_000) }
        }
    }
}
