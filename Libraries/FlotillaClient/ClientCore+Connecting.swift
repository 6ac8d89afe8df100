import FlotillaWire
import Logging
import NIOCore
import NIOPosix

extension ClientCore {
    /// The link to an address, made if there is none. A node that was reached at another address of its own is not
    /// dialled twice.
    func link(_ address: NodeAddress, lane: Int) -> NodeLink {
        let key = LinkKey(address: address, lane: lane)
        if let link = links.first(where: { $0.key == key }) { return link }
        if let link = links.first(where: { $0.key.lane == lane && $0.node?.address == address }) { return link }
        let link = NodeLink(key: key, backOff: makeBackOff())
        links.append(link)
        return link
    }

    /// Starts to connect unless that is done or under way already.
    @discardableResult
    func connect(_ link: NodeLink) -> NodeLink {
        guard case .idle = link.state, !isShutDown else { return link }
        let connection = NodeConnection(
            number: takeConnectionNumber(), clientNumber: clientNumber,
            welcomeTime: configuration.connectTimeout.timeAmount, delegate: self)
        link.state = .connecting(connection)
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 16_384, maximum: 1 << 19)
            )
            .connectTimeout(configuration.connectTimeout.timeAmount)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
            }
        let address = link.key.address
        let attempt: EventLoopFuture<any Channel>
        // What is no numeric address is a name to be looked up; a wrong one fails there and is told then.
        if let numeric = try? SocketAddress(ipAddress: address.host, port: Int(address.port)) {
            attempt = bootstrap.connect(to: numeric)
        } else {
            attempt = bootstrap.connect(host: address.host, port: Int(address.port))
        }
        attempt.assumeIsolated().whenFailure { error in
            connection.connectFailed(FlotillaError(.unreachable, "can't connect to \(address): \(error)"))
        }
        return link
    }

    func connection(_ connection: NodeConnection, welcomedBy node: Hello.Node) {
        guard let link = link(of: connection) else { return }
        logger.debug("connected", metadata: ["node": "\(node.name)", "address": "\(link.key.address)"])
        counters.connectionsOpened += 1
        link.state = .ready(connection)
        link.backOff.reset()
        link.lastError = nil
        for pending in link.waiting { connection.send(pending) }
        link.waiting = []
        for cluster in clusters {
            if cluster.isLocating { ask(cluster, at: link.key.address) }
            flush(cluster)
        }
        reportReachable()
    }

    func connectionClosed(_ connection: NodeConnection, error: FlotillaError) {
        guard let link = link(of: connection) else { return }
        let wasReady = link.connection != nil
        if wasReady {
            logger.info("connection lost", metadata: ["address": "\(link.key.address)", "error": "\(error)"])
            counters.connectionsLost += 1
        }
        link.lastError = error
        rest(link)
        loseOperations(of: connection, error)
        let requests = connection.requests.sorted { $0.key < $1.key }
        connection.requests = [:]
        let unknown = FlotillaError(
            .outcomeUnknown, "\(link.key.address) went away after it was asked: \(error.message)")
        for (_, pending) in requests { pending.complete(.failure(unknown)) }
        let unsent = link.waiting
        link.waiting = []
        for pending in unsent { pending.complete(.failure(error)) }
        for cluster in clusters {
            if wasReady { attachAnew(cluster) }
            flush(cluster)
        }
        reportReachable()
        endTurn()
    }

    private func link(of connection: NodeConnection) -> NodeLink? {
        links.first { link in
            switch link.state {
            case .connecting(connection), .ready(connection): true
            default: false
            }
        }
    }

    /// Pauses before the next attempt, which is made if somebody still has a use for it.
    private func rest(_ link: NodeLink) {
        guard !isShutDown else {
            link.state = .closed
            return
        }
        let timer = eventLoop.assumeIsolated().scheduleTask(in: link.backOff.next()) {
            guard case .pausing = link.state else { return }
            link.state = .idle
            if self.isWanted(link) { self.connect(link) }
        }
        link.state = .pausing(timer)
    }

    private func isWanted(_ link: NodeLink) -> Bool {
        if !link.waiting.isEmpty { return true }
        let address = link.key.address
        if link.key.lane == 0, endpoints.contains(address) { return true }
        return clusters.contains { cluster in
            cluster.leader?.address == address || cluster.local?.address == address
                || (cluster.isLocating && cluster.memberAddresses.contains(address))
        }
    }
}

extension NodeConnection: Equatable {
    static func == (left: NodeConnection, right: NodeConnection) -> Bool { left === right }
    static func ~= (pattern: NodeConnection, value: NodeConnection) -> Bool { pattern === value }
}
