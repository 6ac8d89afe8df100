import FlotillaWire
import Logging
import NIOCore

extension ClientCore {
    /// How long a node may keep a question where the cluster is until it knows a leader.
    static let locateWait = TimeAmount.seconds(2)

    /// Begins to ask where a cluster and its leader are, unless that is going on.
    func startLocating(_ cluster: ClusterRoute) {
        guard !cluster.isLocating, !isShutDown else { return }
        cluster.isLocating = true
        locateRound(cluster)
    }

    /// Asks every node that can be reached at once; repeated after a pause for as long as something waits.
    private func locateRound(_ cluster: ClusterRoute) {
        guard isLost(cluster), !isShutDown else {
            cluster.isLocating = false
            cluster.locateBackOff.reset()
            return
        }
        for address in candidates(for: cluster) {
            connect(link(address, lane: 0))
            ask(cluster, at: address)
        }
        eventLoop.assumeIsolated().scheduleTask(in: cluster.locateBackOff.next()) {
            self.locateRound(cluster)
            self.flush(cluster)
        }
    }

    /// Where a member of the cluster may be: the endpoints, then the members that were heard of.
    func candidates(for cluster: ClusterRoute) -> [NodeAddress] {
        endpoints + cluster.memberAddresses.filter { !endpoints.contains($0) }
    }

    private func isLost(_ cluster: ClusterRoute) -> Bool {
        (cluster.wantsLeader && !isUsable(cluster.leader)) || (cluster.wantsLocal && !isUsable(cluster.local))
    }

    func isUsable(_ target: Target?) -> Bool {
        guard let target else { return false }
        return link(target.address, lane: 0).connection != nil
    }

    /// Asks one node for what is wanted, if it is connected and not asked already.
    func ask(_ cluster: ClusterRoute, at address: NodeAddress) {
        if cluster.wantsLeader { ask(cluster, Question(address: address, waits: true)) }
        if cluster.wantsLocal { ask(cluster, Question(address: address, waits: false)) }
    }

    private func ask(_ cluster: ClusterRoute, _ question: Question) {
        guard !cluster.asked.contains(question), let connection = link(question.address, lane: 0).connection else {
            return
        }
        cluster.asked.insert(question)
        let request = ClientRequest.locate(
            cluster: cluster.name, waits: question.waits,
            timeoutMilliseconds: UInt32(Self.locateWait.nanoseconds / 1_000_000))
        connection.send(
            PendingRequest(request: request, deadline: .now() + Self.locateWait + .seconds(1)) { result in
                cluster.asked.remove(question)
                self.learn(cluster, from: question.address, result)
            })
        ensureSweep()
    }

    /// Takes note of an answer to where a cluster is.
    func learn(_ cluster: ClusterRoute, from address: NodeAddress, _ answer: Result<ClientResponse, FlotillaError>) {
        switch answer {
        case .success(.located(let located)):
            if let known = cluster.located, known.cluster != located.cluster { leaveSession(of: cluster) }
            if cluster.adopt(located, from: address) {
                logger.debug(
                    "leader known",
                    metadata: ["cluster": "\(cluster.name)", "leader": "\(cluster.leader?.id?.description ?? "")"])
                let waiters = cluster.waiters
                cluster.waiters = []
                for waiter in waiters { waiter.complete(.success(located)) }
                turnToLeader(of: cluster)
                if let leader = cluster.leader, leader.uid != cluster.session.attachedTo { attachAnew(cluster) }
            }
            flush(cluster)
            endTurn()
        case .success: break
        case .failure(let error):
            guard error.code == .unknownCluster else { return }
            if cluster.local?.address == address { cluster.local = nil }
            cluster.strangers.insert(address)
            giveUpIfUnknownEverywhere(cluster, error)
        }
    }

    /// Ends everything that waits for a cluster of which all nodes say that they don't host it.
    private func giveUpIfUnknownEverywhere(_ cluster: ClusterRoute, _ error: FlotillaError) {
        guard candidates(for: cluster).allSatisfy({ cluster.strangers.contains($0) }) else { return }
        cluster.strangers = []
        let waiters = cluster.waiters
        cluster.waiters = []
        for waiter in waiters { waiter.complete(.failure(error)) }
        answerSessionWaiters(of: cluster, .failure(error)) { _ in true }
        leaveSession(of: cluster)
        for number in queued(of: cluster) { finish(number, abandonedBecause: error, what: error.message) }
        endTurn()
    }

    /// Asks all nodes once whether another leads by now, since the one that is known did not answer in time.
    func suspectLeader(of cluster: ClusterRoute) {
        for address in candidates(for: cluster) {
            connect(link(address, lane: 0))
            ask(cluster, Question(address: address, waits: true))
        }
    }
}
