import FlotillaWire
import Logging
import NIOCore

/// The sessions that commands belong to: begun before the first command of a cluster, kept alive, begun anew after an
/// end.
extension ClientCore {
    /// How long a leader may take to begin a session until it is asked again.
    static let openingTime = TimeAmount.seconds(2)

    // MARK: The beginning

    /// Calls back once a session of a cluster has begun.
    func waitForSession(
        of name: ClusterName, deadline: NIODeadline, complete: @escaping (Result<Void, FlotillaError>) -> Void
    ) {
        guard !isShutDown else { return complete(.failure(Self.closed)) }
        let cluster = cluster(name)
        guard configuration.exactlyOnce, cluster.session.current == nil else { return complete(.success(())) }
        cluster.sessionWaiters.append(SessionWaiter(deadline: deadline, complete: complete))
        ensureSweep()
        flush(cluster)
    }

    func answerSessionWaiters(
        of cluster: ClusterRoute, _ result: Result<Void, FlotillaError>, where condition: (SessionWaiter) -> Bool
    ) {
        let waiters = cluster.sessionWaiters.filter(condition)
        cluster.sessionWaiters.removeAll(where: condition)
        for waiter in waiters { waiter.complete(result) }
    }

    /// Whether commands may be sent to a cluster; begins a session if that is what they wait for.
    func hasSession(_ cluster: ClusterRoute) -> Bool {
        guard configuration.exactlyOnce, cluster.session.current == nil else { return true }
        guard !cluster.session.isOpening else { return false }
        guard let target = cluster.leader, let connection = connect(link(target.address, lane: 0)).connection else {
            startLocating(cluster)
            return false
        }
        cluster.session.isOpening = true
        ensureSweep()
        let request = ClientRequest.openSession(
            target.uid, home: nil, timeoutMilliseconds: UInt32(Self.openingTime.nanoseconds / 1_000_000))
        let deadline = NIODeadline.now() + Self.openingTime + .milliseconds(500)
        connection.send(
            PendingRequest(request: request, deadline: deadline) { [meant = cluster.located?.cluster] result in
                // The cluster may have been made again under its name: the number means nothing in that one.
                let isOther = cluster.located?.cluster != meant
                let gone = FlotillaError(.unknownServer, "\(cluster.name) is another cluster by now")
                self.sessionOpened(isOther ? .failure(gone) : result, of: cluster, by: target)
            })
        return false
    }

    private func sessionOpened(
        _ result: Result<ClientResponse, FlotillaError>, of cluster: ClusterRoute, by server: Target
    ) {
        let refusal: FlotillaError
        switch result {
        case .success(.sessionOpened(let opened)): return begin(opened, of: cluster, by: server)
        case .success: refusal = FlotillaError(.malformed, "\(server.address) answers to another question")
        case .failure(let error): refusal = error
        }
        cluster.session.refusal = refusal
        switch refusal.code {
        case .busy: break
        case .timeout, .unreachable, .outcomeUnknown: suspectLeader(of: cluster)
        case _ where refusal.isCertainlyNotApplied: cluster.deposed(server.uid, hint: refusal.leader)
        default:
            cluster.session.isOpening = false
            failQueuedCommands(of: cluster, refusal)
            answerSessionWaiters(of: cluster, .failure(refusal)) { _ in true }
            return endTurn()
        }
        eventLoop.assumeIsolated().scheduleTask(in: cluster.session.backOff.next()) {
            cluster.session.isOpening = false
            self.flush(cluster)
        }
    }

    private func begin(_ opened: SessionOpened, of cluster: ClusterRoute, by server: Target) {
        counters.sessionsOpened += 1
        logger.debug("session begun", metadata: ["cluster": "\(cluster.name)", "session": "\(opened.id)"])
        cluster.session = SessionState()
        cluster.session.current = ClientSession(id: opened.id)
        cluster.session.attachedTo = server.uid
        yield(.sessionChanged(SessionID(opened.id)), of: cluster)
        keepLater(opened.id, of: cluster, every: .milliseconds(max(1, Int64(opened.leaseMilliseconds) / 3)))
        answerSessionWaiters(of: cluster, .success(())) { _ in true }
        flush(cluster)
    }

    private func failQueuedCommands(of cluster: ClusterRoute, _ error: FlotillaError) {
        for number in queued(of: cluster) where !table[number].kind.isQuery {
            finish(number, abandonedBecause: error, what: error.message)
        }
    }

    /// The operations that wait to be sent to a cluster.
    func queued(of cluster: ClusterRoute) -> [Int] {
        table.open { slot in
            guard case .queued = slot.state else { return false }
            return routes[slot.route]?.route === cluster
        }
    }

    // MARK: Life

    private func keepLater(_ session: UInt64, of cluster: ClusterRoute, every interval: TimeAmount) {
        eventLoop.assumeIsolated().scheduleTask(in: interval) {
            guard cluster.session.current?.id == session, !self.isShutDown else { return }
            cluster.session.keepIsDue = true
            self.keepSession(of: cluster)
            self.keepLater(session, of: cluster, every: interval)
        }
    }

    /// Tells the leader that the client lives, if that is due and a leader is known.
    func keepSession(of cluster: ClusterRoute) {
        guard cluster.session.keepIsDue, !cluster.session.isKeeping, let session = cluster.session.current,
            !isShutDown
        else { return }
        guard let leader = cluster.leader, let connection = connect(link(leader.address, lane: 0)).connection else {
            return startLocating(cluster)
        }
        cluster.session.isKeeping = true
        connection.send(
            PendingRequest(
                request: .keepSessions(leader.uid, [session.id]), deadline: .now() + Self.openingTime
            ) { result in
                guard cluster.session.current?.id == session.id else { return }
                cluster.session.isKeeping = false
                switch result {
                case .success:
                    cluster.session.keepIsDue = false
                    self.isAttached(cluster, to: leader)
                case .failure(let error): self.keepingFailed(error, cluster, leader)
                }
            })
        ensureSweep()
    }

    private func keepingFailed(_ error: FlotillaError, _ cluster: ClusterRoute, _ leader: Target) {
        if error.code == .sessionExpired {
            leaveSession(of: cluster)
            return flush(cluster)
        }
        if error.isCertainlyNotApplied {
            cluster.deposed(leader.uid, hint: error.leader)
        } else {
            suspectLeader(of: cluster)
        }
        eventLoop.assumeIsolated().scheduleTask(in: cluster.session.backOff.next()) { self.keepSession(of: cluster) }
    }

    // MARK: The end

    /// Goes on without the session of a cluster, which ended. Commands that wait to be sent go into another, if they
    /// certainly took no effect in this one.
    func leaveSession(of cluster: ClusterRoute) {
        guard let session = cluster.session.current else { return }
        logger.info("session ended", metadata: ["cluster": "\(cluster.name)", "session": "\(session.id)"])
        cluster.session = SessionState()
        for number in queued(of: cluster) where table[number].session == session.id && table[number].serial > 0 {
            if moveToNextSession(number) { table[number].frame?.unsealedCount += 1 }
        }
    }

    /// Has a command whose session ended sealed anew, unless it may have taken effect, which ends it.
    ///
    /// - Returns: whether it is to be sent.
    func moveToNextSession(_ number: Int) -> Bool {
        if table[number].isUncertain {
            let error = FlotillaError(.sessionExpired, "the session has ended")
            finish(number, abandonedBecause: error, what: "its session has ended before an answer came")
            return false
        }
        table.unseal(number)
        return true
    }

    /// Tells the leaders that the sessions are needed no more, without waiting for what they say.
    func endSessions() {
        for cluster in clusters {
            guard let session = cluster.session.current, let leader = cluster.leader,
                let connection = link(leader.address, lane: 0).connection
            else { continue }
            connection.send(
                PendingRequest(request: .endSessions(leader.uid, [session.id]), deadline: .distantFuture) { _ in })
        }
    }
}
