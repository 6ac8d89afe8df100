import FlotillaWire
import NIOCore

extension FlotillaClient {
    /// Starts a cluster with a member on each of some nodes, and waits until it has a leader.
    ///
    /// The call may be repeated by the client: it draws the cluster's identity once, and starting the same cluster
    /// again changes nothing.
    ///
    /// - Parameters:
    ///   - machine: the name under which the nodes know the state machine.
    ///   - settings: the machine's own configuration in its own encoding.
    /// - Throws: `FlotillaError`, among others with `clusterExists`, `clusterNotFormed`, `unknownMachine`.
    public func startCluster(
        _ name: ClusterName, machine: String, settings: ByteBuffer = ByteBuffer(), nodes: [NodeName],
        timeout: Duration? = nil
    ) async throws -> ClusterStarted {
        guard !nodes.isEmpty, nodes.count <= Limits.members else {
            throw FlotillaError(
                .invalidArgument, "\(nodes.count) members, a cluster has 1 to \(Limits.members)")
        }
        guard settings.readableBytes <= Limits.machineConfigurationBytes else {
            throw FlotillaError(
                .tooLarge,
                "the machine configuration has \(settings.readableBytes) bytes, "
                    + "the limit is \(Limits.machineConfigurationBytes)"
            )
        }
        var generator = SystemRandomNumberGenerator()
        let cluster = ClusterID.random(using: &generator)
        let deadline = deadline(timeout)
        while true {
            let connected = try await connectedNodes(deadline)
            let address = connected.first { nodes.contains($0.node.name) }?.address ?? connected[0].address
            let request = ClientRequest.StartCluster(
                cluster: cluster, name: name, machine: machine, machineConfiguration: settings, nodes: nodes,
                timeoutMilliseconds: deadline.millisecondsLeft)
            do {
                let response = try await send(.startCluster(request), to: address, deadline)
                guard case .clusterStarted(let started) = response else { throw response.unexpected }
                return started
            } catch let error as FlotillaError where error.isWorthRepeating && deadline > .now() {
                try await pause(before: deadline)
            }
        }
    }

    /// The clusters that have a member on one of the nodes that are connected, in order of their names.
    public func clusters(timeout: Duration? = nil) async throws -> [ClusterPage.Cluster] {
        let deadline = deadline(timeout)
        var found: [ClusterID: ClusterPage.Cluster] = [:]
        var failure: (any Error)?
        var answered = false
        for (address, _) in try await connectedNodes(deadline) {
            do {
                for cluster in try await clusters(at: address, deadline) {
                    if found[cluster.id]?.leader == nil { found[cluster.id] = cluster }
                }
                answered = true
            } catch { failure = error }
        }
        if let failure, !answered { throw failure }
        return found.values.sorted { $0.name == $1.name ? $0.id < $1.id : $0.name < $1.name }
    }

    private func clusters(at address: NodeAddress, _ deadline: NIODeadline) async throws -> [ClusterPage.Cluster] {
        var clusters: [ClusterPage.Cluster] = []
        while true {
            let response = try await send(.listClusters(after: clusters.last?.name), to: address, deadline)
            guard case .clusters(let page) = response else { throw response.unexpected }
            clusters += page.clusters
            guard page.more, !page.clusters.isEmpty else { return clusters }
        }
    }

    /// Everything that a node counts and knows.
    ///
    /// - Parameter name: which node; `nil` for the first that is connected.
    /// - Throws: `FlotillaError` with `unreachable` when the node is not known to the nodes that are connected, or
    ///   can't be reached.
    public func overview(of name: NodeName? = nil, timeout: Duration? = nil) async throws -> NodeOverview {
        let deadline = deadline(timeout)
        let connected = try await connectedNodes(deadline)
        if let found = connected.first(where: { name == nil || $0.node.name == name }) {
            return try await overview(at: found.address, deadline)
        }
        for (address, _) in connected {
            let overview = try await overview(at: address, deadline)
            if let peer = overview.peers.first(where: { $0.name == name }) {
                return try await self.overview(at: peer.address, deadline)
            }
        }
        throw FlotillaError(
            .unreachable, "no node that is connected knows a node named \(name?.description ?? "")")
    }

    private func overview(at address: NodeAddress, _ deadline: NIODeadline) async throws -> NodeOverview {
        let response = try await send(.overview, to: address, deadline)
        guard case .nodeOverview(let overview) = response else { throw response.unexpected }
        return overview
    }

    /// The nodes that are connected, at least one.
    func connectedNodes(
        _ deadline: NIODeadline
    ) async throws(FlotillaError) -> [(address: NodeAddress, node: Hello.Node)] {
        try await onLoop { core, complete in
            core.waitUntilReachable(deadline: deadline) { result in
                complete(result.map { core.connectedNodes })
            }
        }
    }

    /// Asks one node something.
    func send(
        _ request: ClientRequest, to address: NodeAddress, _ deadline: NIODeadline
    ) async throws(FlotillaError) -> ClientResponse {
        try await onLoop { core, complete in
            core.send(request, to: address, deadline: deadline, complete: complete)
        }
    }

    /// Waits a moment before something is tried again, never beyond the deadline.
    func pause(before deadline: NIODeadline) async throws {
        let minimum = configuration.minimumBackOff.timeAmount.nanoseconds
        let pause = Int64.random(in: minimum / 2...minimum * 2)
        // A back-off: nothing is waited for but time.
        try await Task.sleep(for: .nanoseconds(max(0, min(pause, (deadline - .now()).nanoseconds))))
    }
}

extension ClientResponse {
    /// An answer that does not belong to the question.
    var unexpected: FlotillaError {
        FlotillaError(.internalError, "the node answered with a frame of type \(frameType)")
    }
}

extension FlotillaError {
    /// Whether a request that changes nothing when it is repeated may have better luck at another time or node.
    var isWorthRepeating: Bool {
        switch code {
        case .notLeader, .noLeader, .transferring, .busy, .unknownServer, .unreachable, .outcomeUnknown: true
        default: false
        }
    }
}

extension NIODeadline {
    /// How long until then, for the wire.
    var millisecondsLeft: UInt32 {
        UInt32(clamping: max(0, (self - .now()).nanoseconds) / 1_000_000)
    }
}
