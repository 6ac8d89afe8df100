import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// What clients ask apart from commands and queries.
extension Kernel {
    func receive(_ request: ClientRequest, correlation: UInt64, on link: Link) {
        switch request {
        case .locate(let name, let waits, let timeout):
            locate(name, waits: waits, ticket(correlation, on: link, timeout: timeout))
        case .startCluster(let request):
            start(request, ticket: ticket(correlation, on: link, timeout: request.timeoutMilliseconds))
        case .listClusters(let name):
            respond(.clusters(clusters(after: name)), to: link, correlation: correlation)
        case .members(let uid):
            withServer(uid, link, correlation) { respond(members(of: $0), to: link, correlation: correlation) }
        case .overview:
            respond(.nodeOverview(overview()), to: link, correlation: correlation)
        case .transferLeadership(let uid, let node, let timeout):
            let ticket = ticket(correlation, on: link, timeout: timeout)
            withServer(uid, link, correlation) { transfer($0, to: node, ticket) }
        case .triggerElection(let uid):
            withServer(uid, link, correlation) { server in
                step(server, .triggerElection)
                respond(.done, to: link, correlation: correlation)
            }
        case .takeSnapshot(let uid, let timeout):
            let ticket = ticket(correlation, on: link, timeout: timeout)
            withServer(uid, link, correlation) { takeSnapshot(of: $0, for: ticket) }
        case .changeMembers(let uid, let change, let waits, let timeout):
            let ticket = ticket(correlation, on: link, timeout: timeout)
            withServer(uid, link, correlation) { changeMembers(of: $0, change, waits: waits, ticket) }
        case .openSession(let uid, let home, let timeout):
            let ticket = ticket(correlation, on: link, timeout: timeout)
            withServer(uid, link, correlation) { openSession(of: $0, home: home, for: ticket) }
        case .keepSessions(let uid, let sessions):
            withServer(uid, link, correlation) {
                respond(keep(sessions, of: $0, over: link), to: link, correlation: correlation)
            }
        case .endSessions(let uid, let sessions):
            withServer(uid, link, correlation) {
                respond(end(known: sessions, of: $0), to: link, correlation: correlation)
            }
        case .auxCommand(let uid, let command, let waits):
            withServer(uid, link, correlation) {
                respond(answerAux(command, waits: waits, of: $0), to: link, correlation: correlation)
            }
        case .deleteCluster(let uid, let timeout):
            let ticket = ticket(correlation, on: link, timeout: timeout)
            withServer(uid, link, correlation) { deleteCluster(of: $0, ticket) }
        }
    }

    private func ticket(_ correlation: UInt64, on link: Link, timeout: UInt32) -> RequestTicket {
        // Nobody waits here longer than a minute; who wants to wait longer asks again.
        RequestTicket(link: link.id, correlation: correlation, deadline: now + .milliseconds(Int(min(timeout, 60_000))))
    }

    private func withServer(
        _ uid: ServerUID, _ link: Link, _ correlation: UInt64, _ body: (HostedServer) -> Void
    ) {
        guard let server = serversByUID[uid] else {
            let error = FlotillaError(.unknownServer, "node \(identity.name) hosts no server \(uid)")
            return respond(.error(error), to: link, correlation: correlation)
        }
        body(server)
    }

    // MARK: Where is a cluster?

    private func locate(_ name: ClusterName, waits: Bool, _ ticket: RequestTicket) {
        guard let server = serversByName[name] else {
            let error = FlotillaError(.unknownCluster, "node \(identity.name) has no member of cluster \(name)")
            return respond(.error(error), to: ticket)
        }
        if waits, knownLeader(of: server) == nil {
            server.locateWaiters.append(ticket)
        } else {
            answerLocate(ticket, about: server)
        }
    }

    func answerLocate(_ ticket: RequestTicket, about server: HostedServer) {
        let leads = knownLeader(of: server) != nil
        respond(
            .located(
                Located(
                    cluster: server.creation.clusterID, machine: server.creation.machine, local: server.uid,
                    leader: leads ? server.core.leader : nil, term: server.core.term,
                    configuration: withCurrentAddresses(server.core.configuration))),
            to: ticket)
    }

    /// The leader, if it is on a node that lives as far as this one knows: a client that is sent to a dead one only
    /// comes back.
    func knownLeader(of server: HostedServer) -> ServerID? {
        guard let leader = server.core.leader else { return nil }
        if leader != server.uid {
            guard server.members.first(where: { $0.uid == leader })?.peer?.isUp == true else { return nil }
        }
        return server.name(of: leader)
    }

    /// A node may have moved since the configuration was made.
    private func withCurrentAddresses(_ configuration: ClusterConfiguration) -> ClusterConfiguration {
        var current = configuration
        for position in current.members.indices {
            let node = current.members[position].nodeID
            if node == identity.id {
                current.members[position].address = identity.address
            } else if let peer = peersByID[node] {
                current.members[position].address = peer.address
            }
        }
        return current
    }

    /// Answers those who have waited long enough for a leader.
    func watchWaiters() {
        for case let server? in servers {
            if let ticket = server.transferWaiter, ticket.deadline <= now {
                server.transferWaiter = nil
                respond(.error(FlotillaError(.timeout, "the transfer has not ended in time")), to: ticket)
            }
            let tooLate = FlotillaError(.timeout, "the snapshot has not become durable in time")
            for waiter in server.snapshotWaiters where waiter.ticket.deadline <= now {
                respond(.error(tooLate), to: waiter.ticket)
            }
            server.snapshotWaiters.removeAll { $0.ticket.deadline <= now }
            watchChanges(of: server)
            guard !server.locateWaiters.isEmpty else { continue }
            server.locateWaiters.removeAll { links[$0.link] == nil }
            let late = server.locateWaiters.filter { $0.deadline <= now }
            server.locateWaiters.removeAll { $0.deadline <= now }
            let error = FlotillaError(.noLeader, "no leader of \(server.creation.clusterName) is known")
            for ticket in late { respond(.error(error), to: ticket) }
        }
    }

    // MARK: Clusters and members

    private func clusters(after name: ClusterName?) -> ClusterPage {
        let names = serversByName.keys.sorted().drop { name != nil && $0 <= (name ?? $0) }
        let page = names.prefix(Limits.clustersPerPage).compactMap { serversByName[$0] }.map { server in
            ClusterPage.Cluster(
                id: server.creation.clusterID, name: server.creation.clusterName, machine: server.creation.machine,
                leader: knownLeader(of: server), members: server.core.configuration.members.map(\.id))
        }
        return ClusterPage(clusters: page, more: names.count > page.count)
    }

    private func members(of server: HostedServer) -> ClientResponse {
        guard server.core.role == .leader else { return .error(notLeader(server)) }
        let configuration = withCurrentAddresses(server.core.configuration)
        let progress = server.core.peerOverview
        let matched = configuration.members.map { member in
            member.uid == server.uid
                ? server.core.durableIndex : progress.first { $0.uid == member.uid }?.match ?? .zero
        }
        return .memberList(
            MemberList(
                leader: server.creation.id, term: server.core.term, configuration: configuration, matched: matched))
    }

    // MARK: Leadership

    private func transfer(_ server: HostedServer, to node: NodeName, _ ticket: RequestTicket) {
        guard server.core.role == .leader else { return respond(.error(notLeader(server)), to: ticket) }
        guard let member = server.core.configuration.members.first(where: { $0.id.node == node }) else {
            let error = FlotillaError(.unknownMember, "\(server.creation.clusterName) has no member on \(node)")
            return respond(.error(error), to: ticket)
        }
        guard member.uid == server.uid || server.core.isUp(member.uid) else {
            let error = FlotillaError(.notUpToDate, "\(member.id) is not up")
            return respond(.error(error), to: ticket)
        }
        guard server.transferWaiter == nil else {
            return respond(.error(FlotillaError(.transferring, "another transfer is on its way")), to: ticket)
        }
        server.transferWaiter = ticket
        step(server, .transferLeadership(to: member.uid, giveUpAt: ticket.deadline))
    }

    func response(to outcome: TransferOutcome, for server: HostedServer) -> ClientResponse {
        switch outcome {
        case .completed: .done
        case .timedOut, .notUpToDate:
            .error(FlotillaError(.notUpToDate, "the target has not taken over in time; \(server.creation.id) leads on"))
        case .refused(.alreadyLeader): .error(FlotillaError(.alreadyLeader, "\(server.creation.id) leads already"))
        case .refused(.unknownMember):
            .error(FlotillaError(.unknownMember, "the target is no member of \(server.creation.clusterName)"))
        case .refused(.nonVoter):
            .error(FlotillaError(.nonVoter, "the target is no voter of \(server.creation.clusterName)"))
        case .refused(.notLeader): .error(notLeader(server))
        case .refused(.transferInProgress):
            .error(FlotillaError(.transferring, "another transfer is on its way"))
        }
    }
}
