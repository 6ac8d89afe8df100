import FlotillaWire
import NIOCore

extension ClientCore {
    /// Sends a request to a node, once it is connected.
    func send(
        _ request: ClientRequest, to address: NodeAddress, deadline: NIODeadline,
        complete: @escaping (Result<ClientResponse, FlotillaError>) -> Void
    ) {
        let pending = PendingRequest(request: request, deadline: deadline, complete: complete)
        guard !isShutDown else {
            complete(.failure(FlotillaError(.shuttingDown, "the client was shut down")))
            return
        }
        let link = connect(link(address, lane: 0))
        if let connection = link.connection {
            connection.send(pending)
        } else {
            link.waiting.append(pending)
        }
        ensureSweep()
    }

    /// Calls back once a leader of a cluster is known.
    func waitForLeader(
        of name: ClusterName, deadline: NIODeadline, complete: @escaping (Result<Located, FlotillaError>) -> Void
    ) {
        guard !isShutDown else {
            complete(.failure(FlotillaError(.shuttingDown, "the client was shut down")))
            return
        }
        let cluster = cluster(name)
        if var located = cluster.located, let leader = cluster.leader, isUsable(leader) {
            // A hint may have named another than the last answer did; nobody would be asked for that one again.
            located.leader = leader.uid
            complete(.success(located))
            return
        }
        cluster.waiters.append(LeaderWaiter(deadline: deadline, complete: complete))
        startLocating(cluster)
        ensureSweep()
    }

    /// Forgets that a server leads, since it said so or does not answer.
    func forgetLeader(_ server: ServerUID, of name: ClusterName, hint: ServerID?) {
        cluster(name).deposed(server, hint: hint)
        cluster(name).located?.leader = nil
    }

    /// The nodes that are connected now, in the order in which they came into use.
    var connectedNodes: [(address: NodeAddress, node: Hello.Node)] {
        links.compactMap { link in
            guard link.key.lane == 0, let node = link.node else { return nil }
            return (link.key.address, node)
        }
    }

    /// Calls back once a node is connected, or all that can be tried have failed once and the deadline has passed.
    func waitUntilReachable(deadline: NIODeadline, complete: @escaping (Result<Void, FlotillaError>) -> Void) {
        reachableWaiters.append((deadline, complete))
        for address in endpoints { connect(link(address, lane: 0)) }
        reportReachable()
        eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.reportReachable() }
    }

    /// Tells those who wait whether a node is connected.
    func reportReachable() {
        guard !reachableWaiters.isEmpty else { return }
        if links.contains(where: { $0.connection != nil }) {
            let waiters = reachableWaiters
            reachableWaiters = []
            for waiter in waiters { waiter.complete(.success(())) }
            return
        }
        let now = NIODeadline.now()
        let expired = reachableWaiters.filter { $0.deadline <= now || isShutDown }
        reachableWaiters.removeAll { $0.deadline <= now || isShutDown }
        let reasons = links.compactMap { $0.lastError?.message }.joined(separator: "; ")
        for waiter in expired {
            waiter.complete(.failure(FlotillaError(.unreachable, "no node could be reached: \(reasons)")))
        }
    }
}

extension ClientCore {
    /// Lets go of a pipeline that nobody submits to any more; what is open still gets its notifications.
    func forget(pipeline number: Int) {
        drain()
        pipelines[number] = nil
    }
}
