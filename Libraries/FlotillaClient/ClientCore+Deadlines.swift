import FlotillaWire
import NIOCore

extension ClientCore {
    /// Has deadlines looked at soon and as long as something is open. There is no timer for a single operation.
    func ensureSweep() {
        guard !sweepScheduled, !isShutDown else { return }
        sweepScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: Self.sweepInterval) {
            self.sweepScheduled = false
            self.sweep(.now())
        }
    }

    private func sweep(_ now: NIODeadline) {
        expireOperations(now)
        expireWaiters { $0.deadline <= now }
        for cluster in clusters {
            expireLeaderWaiters(cluster, now)
            answerSessionWaiters(of: cluster, .failure(cluster.session.refusal ?? reasonWithoutLeader(cluster))) {
                $0.deadline <= now
            }
            suspectSilentLeader(of: cluster, now)
        }
        for link in links { expireRequests(link, now) }
        endTurn()
        let idle =
            table.openCount == 0 && clusters.allSatisfy { $0.waiters.isEmpty && $0.sessionWaiters.isEmpty }
            && links.allSatisfy { $0.waiting.isEmpty && ($0.connection?.requests.isEmpty ?? true) }
        guard idle else { return ensureSweep() }
        for cluster in clusters { cluster.silentSince = nil }
    }

    private func expireOperations(_ now: NIODeadline) {
        guard earliestDeadline <= now else { return }
        var suspected: [ClusterRoute] = []
        for number in table.open(where: { $0.deadline <= now }) {
            let (cluster, _) = route(table[number].route)
            let slot = table[number]
            if slot.isSent, !suspected.contains(where: { $0 === cluster }) { suspected.append(cluster) }
            finish(number, abandonedBecause: reasonOfExpiry(slot, cluster), what: "no answer came before the deadline")
        }
        earliestDeadline =
            table.slots.lazy.filter { slot in
                if case .free = slot.state { false } else { true }
            }.map(\.deadline).min() ?? .distantFuture
        for cluster in suspected { suspectLeader(of: cluster) }
    }

    private func reasonOfExpiry(_ slot: Slot, _ cluster: ClusterRoute) -> FlotillaError {
        let refusal = slot.refusal ?? (slot.kind.isQuery ? nil : cluster.session.refusal)
        if !slot.isSent, let refusal, refusal.code == .busy {
            return FlotillaError(.busy, "no room before the deadline: \(refusal.message)")
        }
        if slot.isSent { return FlotillaError(.timeout, "no answer came before the deadline") }
        return reasonWithoutLeader(cluster)
    }

    /// Why nothing could be sent to a cluster.
    func reasonWithoutLeader(_ cluster: ClusterRoute) -> FlotillaError {
        guard links.contains(where: { $0.connection != nil }) else {
            let reason = links.compactMap(\.lastError).last?.message ?? "no connection in time"
            return FlotillaError(.unreachable, "no node could be reached before the deadline: \(reason)")
        }
        guard let leader = cluster.leader else {
            return FlotillaError(.noLeader, "no leader of \(cluster.name) was known before the deadline")
        }
        guard isConnected(leader) else {
            return FlotillaError(
                .noLeader, "the leader of \(cluster.name) could not be reached before the deadline", leader: leader.id)
        }
        return FlotillaError(.timeout, "it could not be sent before the deadline", leader: leader.id)
    }

    private func isConnected(_ target: Target) -> Bool {
        links.contains {
            $0.connection != nil && ($0.key.address == target.address || $0.node?.address == target.address)
        }
    }

    /// Ends operations that wait for room.
    func expireWaiters(_ error: (any Error)? = nil, where condition: (SubmissionQueue.Waiter) -> Bool) {
        let refusal = FlotillaError(.busy, "there was no room among the open commands before the deadline")
        for waiter in submissions.removeWaiters(where: condition) {
            switch waiter.sink {
            case .caller(let caller): caller.resume(.failure(error ?? refusal))
            case .pipeline(let number):
                let notification = RawNotification(
                    correlation: waiter.correlation, isAnswer: waiter.kind.isQuery,
                    outcome: .failure((error as? FlotillaError) ?? refusal))
                if let record = pipelines[number] { collect(notification, for: record) }
            }
        }
    }

    private func expireLeaderWaiters(_ cluster: ClusterRoute, _ now: NIODeadline) {
        let expired = cluster.waiters.filter { $0.deadline <= now }
        guard !expired.isEmpty else { return }
        cluster.waiters.removeAll { $0.deadline <= now }
        for waiter in expired { waiter.complete(.failure(reasonWithoutLeader(cluster))) }
    }

    private func expireRequests(_ link: NodeLink, _ now: NIODeadline) {
        let waiting = link.waiting.filter { $0.deadline <= now }
        link.waiting.removeAll { $0.deadline <= now }
        let reason = link.lastError?.message ?? "not connected in time"
        for pending in waiting {
            pending.complete(.failure(FlotillaError(.unreachable, "\(link.key.address): \(reason)")))
        }
        guard let connection = link.connection else { return }
        for (number, pending) in connection.requests.sorted(by: { $0.key < $1.key }) where pending.deadline <= now {
            connection.requests[number] = nil
            pending.complete(
                .failure(FlotillaError(.timeout, "\(link.key.address) did not answer before the deadline")))
        }
    }

    /// Ends a caller's operation because its task was cancelled.
    func cancel(_ ticket: UInt64) {
        drain()
        expireWaiters(CancellationError()) { waiter in
            if case .caller = waiter.sink { waiter.correlation == ticket } else { false }
        }
        let found = table.open { slot in
            if case .caller = slot.waiting { slot.correlation == ticket } else { false }
        }
        for number in found {
            finish(number, abandonedBecause: CancellationError(), what: "the task was cancelled after it was sent")
        }
        endTurn()
    }

    // MARK: - The end

    /// Closes everything; what is open ends as its state says.
    func shutDown() {
        guard !isShutDown else { return }
        submissions.shutDown()
        drain()
        endSessions()
        isShutDown = true
        failEverything()
        endMessages()
        for link in links {
            switch link.state {
            case .connecting(let connection), .ready(let connection):
                link.state = .closed
                connection.close(Self.closed)
            case .pausing(let timer):
                timer.cancel()
                link.state = .closed
            case .idle, .closed: link.state = .closed
            }
        }
        reportReachable()
    }

    static let closed = FlotillaError(.shuttingDown, "the client was shut down")

    func failEverything() {
        expireWaiters(Self.closed) { _ in true }
        for number in table.open(where: { _ in true }) {
            finish(number, abandonedBecause: Self.closed, what: "the client was shut down after it was sent")
        }
        for cluster in clusters {
            answerSessionWaiters(of: cluster, .failure(Self.closed)) { _ in true }
            let waiters = cluster.waiters
            cluster.waiters = []
            for waiter in waiters { waiter.complete(.failure(Self.closed)) }
        }
        for link in links {
            let requests = link.waiting + (link.connection?.requests.sorted { $0.key < $1.key }.map(\.value) ?? [])
            link.waiting = []
            link.connection?.requests = [:]
            for pending in requests { pending.complete(.failure(Self.closed)) }
        }
        endTurn()
    }
}
