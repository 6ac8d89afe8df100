import FlotillaWire
import NIOCore

extension ClientCore: NodeConnectionDelegate {
    func connection(
        _ connection: NodeConnection, received header: FrameHeader, body: ByteBuffer
    ) throws(WireError) {
        guard let type = FrameType(rawValue: header.type) else {
            counters.unknownFrames += 1
            return
        }
        switch type {
        case .results, .answers: try receiveResults(body, over: connection)
        case .rejections: receive(try Rejections(body), over: connection)
        case .sessionEvents: receive(try SessionEvents(body))
        default:
            guard let response = try ClientResponse.decode(type, body: body) else {
                counters.unknownFrames += 1
                return
            }
            receive(response, correlation: header.correlation, over: connection)
        }
    }

    func connectionReadComplete(_ connection: NodeConnection) { endTurn() }

    func connectionBecameWritable(_ connection: NodeConnection) {
        for cluster in clusters { flush(cluster) }
    }

    private func receiveResults(_ body: ByteBuffer, over connection: NodeConnection) throws(WireError) {
        var head = WireReader(body)
        let server: ServerUID = try head.identifier()
        let term = try head.term()
        var known: (route: Int, cluster: ClusterRoute, leader: ServerID?)?
        _ = try ResultBatch.decode(body) { correlation, index, reply in
            guard let number = table.find(correlation, connection: connection.number) else {
                counters.strayAnswers += 1
                return
            }
            let routeNumber = table[number].route
            if known?.route != routeNumber {
                let (cluster, _) = route(routeNumber)
                known = (routeNumber, cluster, cluster.name(of: server))
                cluster.silentSince = .now()
                cluster.refusals = 0
                cluster.refusalBackOff.reset()
            }
            counters.answered += 1
            finish(number, of: known?.cluster, answeredWith: reply, at: index) {
                RawResult(reply: reply, index: index, term: term, server: server, leader: known?.leader)
            }
        }
    }

    private func receive(_ rejections: Rejections, over connection: NodeConnection) {
        var again: [Int] = []
        for correlation in rejections.correlations {
            guard let number = table.find(correlation, connection: connection.number) else {
                counters.strayAnswers += 1
                continue
            }
            if rejections.error.code == .busy { counters.busyRejections += 1 }
            if isToBeSentAgain(number, after: rejections.error) {
                table[number].refusal = rejections.error
                again.append(number)
            } else if rejections.error.code == .replyGone {
                finish(number, .failure(rejections.error))
            } else {
                finish(number, refusedBecause: rejections.error)
            }
        }
        guard !again.isEmpty else { return }
        // Who was refused together belongs to one cluster, unless a node mixes what it should not.
        let refused = Set(again.map { table[$0].route }).sorted().map { route($0).0 }
        let locals = again.contains { table[$0].kind == .localQuery }
        sendAgain(again)
        for cluster in refused { react(to: rejections, of: cluster, local: locals) }
    }

    /// Whether an operation that was rejected may find better luck elsewhere or later.
    private func isToBeSentAgain(_ number: Int, after error: FlotillaError) -> Bool {
        switch error.code {
        case .outcomeUnknown:
            guard table[number].mayBeRepeated else { return false }
            if !table[number].kind.isQuery { table[number].isUncertain = true }
            return true
        case .sessionExpired:
            let (cluster, _) = route(table[number].route)
            if table[number].session == cluster.session.current?.id { leaveSession(of: cluster) }
            return true
        default: return error.isCertainlyNotApplied
        }
    }

    private func react(to rejections: Rejections, of cluster: ClusterRoute, local: Bool) {
        if local, cluster.local?.uid == rejections.server { cluster.local = nil }
        cluster.silentSince = .now()
        switch rejections.error.code {
        case .sessionExpired: break
        case .busy, .overwritten, .transferring:
            if rejections.error.code != .busy { cluster.deposed(rejections.server, hint: rejections.error.leader) }
            if cluster.pausedUntil == nil { pause(cluster) }
        default:
            cluster.deposed(rejections.server, hint: rejections.error.leader)
            cluster.refusals += 1
            if cluster.refusals > 2, cluster.pausedUntil == nil { pause(cluster) }
        }
        turnToLeader(of: cluster)
        flush(cluster)
    }

    private func receive(_ response: ClientResponse, correlation: UInt64, over connection: NodeConnection) {
        guard let pending = connection.requests.removeValue(forKey: correlation) else {
            if case .error(let error) = response, correlation == 0 {
                connection.close(error)
            } else {
                counters.strayAnswers += 1
            }
            return
        }
        if case .error(let error) = response {
            pending.complete(.failure(error))
        } else {
            pending.complete(.success(response))
        }
    }
}

extension Rejections {
    fileprivate init(_ body: ByteBuffer) throws(WireError) {
        var reader = WireReader(body)
        try self.init(from: &reader)
    }
}

extension SessionEvents {
    fileprivate init(_ body: ByteBuffer) throws(WireError) {
        var reader = WireReader(body)
        try self.init(from: &reader)
    }
}

extension FlotillaError {
    /// Whether a command that was rejected so was not appended or will never be applied, and may find better luck
    /// elsewhere or later.
    var isCertainlyNotApplied: Bool {
        switch code {
        case .notLeader, .noLeader, .transferring, .busy, .unknownServer, .overwritten, .shuttingDown: true
        default: false
        }
    }
}
