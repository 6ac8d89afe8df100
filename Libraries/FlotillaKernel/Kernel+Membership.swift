import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// Members that come and go while a cluster runs.
extension Kernel {
    /// What is known here of the members of a cluster.
    package struct Membership: Sendable {
        /// The server of this node.
        package var server: ServerUID
        /// The configuration in force, committed or not.
        package var configuration: ClusterConfiguration
        /// Where in the log it stands.
        package var configurationIndex: LogIndex
        /// The log is known to be committed through here.
        package var commitIndex: LogIndex
        /// Whether the server of this node is a member no more, as far as it knows.
        package var isRemoved: Bool

        /// Whether the configuration in force is lasting.
        package var isCommitted: Bool { configurationIndex <= commitIndex }
    }

    /// The members of a cluster as the server of this node knows them; `nil` when the node hosts none of it.
    package func membership(of cluster: ClusterName) -> Membership? {
        serversByName[cluster].map { server in
            Membership(
                server: server.uid, configuration: server.core.configuration,
                configurationIndex: server.core.configurationIndex, commitIndex: server.core.commitIndex,
                isRemoved: server.core.isRemoved)
        }
    }

    /// Adds a member on a node that this one has heard of and, for a voter, is connected to, or gives the one that is there another role; to be asked of
    /// the leader's node. The member exists once its node was reached and has made its record durable, which may be
    /// later; it is lasting once the index is committed.
    ///
    /// - Parameter role: the target of a promotable member is set by the leader.
    /// - Returns: the identity of the member's storage, and where in the log the configuration with it stands.
    package func addMember(
        to cluster: ClusterName, on node: NodeName, role: MemberRole
    ) -> Result<(server: ServerUID, index: LogIndex), FlotillaError> {
        do throws(FlotillaError) {
            return .success(try addMember(on: node, role: role, by: try server(of: cluster)))
        } catch {
            return .failure(error)
        }
    }

    private func addMember(
        on node: NodeName, role: MemberRole, by leader: HostedServer
    ) throws(FlotillaError) -> (server: ServerUID, index: LogIndex) {
        try checkPermission(leader)
        let (nodeID, address) = try locate(node)
        let id = ServerID(cluster: leader.creation.clusterName, node: node)
        let known = leader.core.configuration.members.first { $0.id == id && $0.nodeID == nodeID }
        // A voter counts from the start, there or not: one that never comes could cost the cluster its majority.
        guard role != .voter || nodeID == identity.id || peersByID[nodeID]?.isUp == true else {
            throw FlotillaError(.unreachable, "node \(node) is not connected, so no voter is added there")
        }
        let member = Member(
            id: id, uid: known?.uid ?? .random(using: &random), nodeID: nodeID, address: address, role: role)
        let index = try change(.add(member), by: leader)
        // It is asked before the first entries leave.
        if known == nil, let peer = peersByID[nodeID], peer.isUp { invite(member.uid, of: leader, on: peer) }
        return (member.uid, index)
    }

    /// Removes a member; to be asked of the leader's node. A leader that is removed hands over once that is committed.
    /// What is on the disk of the member's node stays there.
    ///
    /// - Returns: where in the log the configuration without it stands.
    package func removeMember(_ server: ServerID, from cluster: ClusterName) -> Result<LogIndex, FlotillaError> {
        do throws(FlotillaError) {
            return .success(try removeMember(server, by: try self.server(of: cluster)).index)
        } catch {
            return .failure(error)
        }
    }

    private func removeMember(
        _ id: ServerID, by leader: HostedServer
    ) throws(FlotillaError) -> (server: ServerUID, index: LogIndex) {
        try checkPermission(leader)
        guard let member = leader.core.configuration.members.first(where: { $0.id == id }) else {
            throw FlotillaError(.unknownMember, "\(leader.creation.clusterName) has no member \(id)")
        }
        return (member.uid, try change(.remove(member.uid), by: leader))
    }

    private func server(of cluster: ClusterName) throws(FlotillaError) -> HostedServer {
        guard let server = serversByName[cluster] else {
            throw FlotillaError(.unknownCluster, "node \(identity.name) has no member of cluster \(cluster)")
        }
        return server
    }

    /// Whether a server would change the members now. This is said before anything that may be wrong with the change.
    private func checkPermission(_ server: HostedServer) throws(FlotillaError) {
        if let refusal = server.core.membershipRefusal { throw error(for: refusal, by: server) }
    }

    // MARK: For clients

    /// A client wants a change. It is answered once that is in the log, or once it is committed.
    func changeMembers(of server: HostedServer, _ change: MemberChange, waits: Bool, _ ticket: RequestTicket) {
        do throws(FlotillaError) {
            let (member, index) =
                switch change {
                case .add(let node, let role): try addMember(on: node, role: role, by: server)
                case .remove(let id): try removeMember(id, by: server)
                }
            let changed = MemberChanged(
                member: member, index: index, term: server.core.term, leader: server.creation.id)
            guard waits else { return respond(.memberChanged(changed), to: ticket) }
            server.changeWaiters.append((changed, ticket))
        } catch {
            respond(.error(error), to: ticket)
        }
    }

    /// Answers those whose change is committed, or where something else is.
    func answerChanges(of server: HostedServer) {
        while let waiter = server.changeWaiters.first, waiter.change.index <= server.core.commitIndex {
            server.changeWaiters.removeFirst()
            respond(outcome(of: waiter.change, in: server), to: waiter.ticket)
        }
    }

    private func outcome(of change: MemberChanged, in server: HostedServer) -> ClientResponse {
        switch server.core.logTerms.term(at: change.index) {
        case change.term: .memberChanged(change)
        case nil:
            .error(FlotillaError(.outcomeUnknown, "a snapshot covers the change at \(change.index) of the members"))
        default:
            .error(FlotillaError(.overwritten, "another leader's entry took the place of the change of the members"))
        }
    }

    /// Answers those who have waited long enough.
    func watchChanges(of server: HostedServer) {
        let late = server.changeWaiters.filter { $0.ticket.deadline <= now }
        server.changeWaiters.removeAll { $0.ticket.deadline <= now }
        for waiter in late {
            let error = FlotillaError(
                .outcomeUnknown, "the change at \(waiter.change.index) is in the log and was not committed in time")
            respond(.error(error), to: waiter.ticket)
        }
    }

    func change(_ change: MembershipChange, by server: HostedServer) throws(FlotillaError) -> LogIndex {
        var actions = takeScratch()
        let result = server.core.changeMembership(change, now: now, actions: &actions)
        perform(&actions, for: server)
        markDirty(server)
        arm(server)
        switch result {
        case .success(let index): return index
        case .failure(let refusal): throw error(for: refusal, by: server)
        }
    }

    private func error(for refusal: MembershipRefusal, by server: HostedServer) -> FlotillaError {
        let name = server.creation.clusterName
        switch refusal {
        case .notLeader: return notLeader(server)
        case .notPermitted:
            return FlotillaError(.clusterChangeNotPermitted, "the members of \(name) can't be changed at the moment")
        case .ending: return isEnding(server)
        case .alreadyMember: return FlotillaError(.alreadyMember, "\(name) has this member already")
        case .notMember: return FlotillaError(.unknownMember, "\(name) has no such member")
        case .lastVoter: return FlotillaError(.invalidArgument, "\(name) would be left without a voter")
        case .tooManyMembers:
            return FlotillaError(.invalidArgument, "\(name) has \(Limits.members) members, which is the limit")
        }
    }

    // MARK: Members that are not there

    /// Asks a node to host a member that it does not have. It checks itself whether it may.
    func invite(_ uid: ServerUID, of server: HostedServer, on peer: Peer) {
        guard !server.lostMembers.contains(uid), let request = invitation(for: uid, by: server) else { return }
        // One that has acknowledged entries before has lost them: it must not vote again as if it never had any.
        if server.core.role == .leader, server.core.peerOverview.contains(where: { $0.uid == uid && $0.match > .zero })
        {
            output.events.append(
                .memberRefused(server.creation.clusterName, peer.name, reason: "it has lost the data of its member"))
            return
        }
        send(.startServer(request), to: peer)
    }

    /// What is sent to the node of a member that is not there; `nil` when that is not for this server to send. Any member
    /// asks for those that were there from the start. For those that joined the leader does, whose configuration is never
    /// an old one; but where none is known anybody does, since its vote may be what an election lacks.
    private func invitation(for uid: ServerUID, by server: HostedServer) -> PeerMessage.StartServer? {
        guard let member = server.core.configuration.member(uid) else { return nil }
        if server.creation.initial.member(uid) != nil { return startRequest(for: server.creation) }
        let isLeader = server.core.role == .leader
        guard isLeader || server.core.leader == nil else { return nil }
        return startRequest(
            for: server.creation, joining: .init(member: member, term: isLeader ? server.core.term : .zero))
    }
}
