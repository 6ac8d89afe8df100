import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// The start of a cluster, coordinated by the node that was asked for it.
struct ClusterStart {
    let request: PeerMessage.StartServer
    /// Who is to be answered.
    var tickets: [RequestTicket]
    let deadline: Instant
    /// The nodes whose server runs, its start durable.
    var started: Set<NodeID> = []
    /// The nodes that refused, or that have not answered yet.
    var refusals: [NodeID: FlotillaError] = [:]
    /// When a majority was complete.
    var majoritySince: Instant?
    /// Whether the first election was triggered.
    var isElecting = false
    /// Whether the cluster was started before and is only asked about: then nothing of it may be deleted.
    var isResumed = false

    var members: [Member] { request.initial.members }
    var hasMajority: Bool { started.count > members.count / 2 }
    /// Whether every member has answered.
    var isComplete: Bool { started.count + refusals.count == members.count }
    /// Whether so many have refused that a majority can't come about.
    var isHopeless: Bool { members.count - refusals.count <= members.count / 2 }
}

/// How a cluster starts: one node makes the identities, tells every member the same configuration, and answers once a
/// majority of them runs and a leader is there.
extension Kernel {
    /// A client asks for a cluster to be started.
    func start(_ request: ClientRequest.StartCluster, ticket: RequestTicket) {
        if let running = starts[request.cluster] {
            starts[request.cluster]?.tickets = running.tickets + [ticket]
            return
        }
        do {
            if let existing = serversByCluster[request.cluster] {
                return resume(existing, ticket: ticket)
            }
            let start = ClusterStart(request: try plan(request), tickets: [ticket], deadline: ticket.deadline)
            starts[request.cluster] = start
            begin(start)
        } catch {
            respond(.error(error), to: ticket)
        }
    }

    /// The same request came again after the start had ended, or after this node was restarted in between.
    private func resume(_ server: HostedServer, ticket: RequestTicket) {
        var start = ClusterStart(
            request: startRequest(for: server.creation), tickets: [ticket], deadline: ticket.deadline)
        start.isResumed = true
        for member in start.members where member.nodeID == identity.id || server.core.isUp(member.uid) {
            start.started.insert(member.nodeID)
        }
        start.isElecting = true
        starts[server.creation.clusterID] = start
        startHasLeader(server)
    }

    /// Draws the identities and checks everything that can be checked before anybody else is told.
    private func plan(_ request: ClientRequest.StartCluster) throws(FlotillaError) -> PeerMessage.StartServer {
        guard request.cluster != .none, !request.nodes.isEmpty, Set(request.nodes).count == request.nodes.count else {
            throw FlotillaError(.invalidArgument, "a cluster needs an identity and members on different nodes")
        }
        guard request.nodes.contains(identity.name) else {
            let names = request.nodes.map(\.description).joined(separator: ", ")
            throw FlotillaError(
                .unknownMember, "node \(identity.name) is to have no member: ask one of \(names) to start the cluster")
        }
        guard serversByName[request.name] == nil else {
            throw FlotillaError(.clusterExists, "node \(identity.name) already has a cluster named \(request.name)")
        }
        var nodes: [(name: NodeName, id: NodeID, address: NodeAddress)] = []
        for name in request.nodes {
            let (id, address) = try locate(name)
            nodes.append((name, id, address))
        }
        let members = nodes.map { node in
            Member(
                id: ServerID(cluster: request.name, node: node.name),
                uid: Self.uid(in: request.cluster, of: nodes.map(\.id), on: node.id), nodeID: node.id,
                address: node.address)
        }
        return PeerMessage.StartServer(
            cluster: request.cluster, name: request.name, machine: request.machine,
            machineConfiguration: request.machineConfiguration, initial: ClusterConfiguration(members: members))
    }

    /// The identity of a first member: it follows from the cluster, its nodes and the member's own, so that whoever
    /// repeats the request at another node, because the first has failed in the middle, starts the same cluster and not
    /// another one beside it. Members that were made for other nodes than these have nothing in common with them.
    private static func uid(in cluster: ClusterID, of nodes: [NodeID], on node: NodeID) -> ServerUID {
        let words = [cluster.high, cluster.low] + (nodes + [node]).flatMap { [$0.high, $0.low] }
        func word(_ start: UInt64) -> UInt64 {
            words.reduce(start) { hash, word in
                var generator = SplitMix64(seed: hash ^ word)
                return generator.next()
            }
        }
        return ServerUID(high: word(0), low: word(1))
    }

    func locate(_ name: NodeName) throws(FlotillaError) -> (NodeID, NodeAddress) {
        if name == identity.name { return (identity.id, identity.address) }
        // Of two nodes that had the name one after the other, the one that is connected is meant.
        let known = peers.filter { $0.name == name }
        guard let peer = known.first(where: { $0.link != nil }) ?? known.last(where: { $0.id != nil }),
            let id = peer.id
        else { throw FlotillaError(.unreachable, "node \(identity.name) has never heard from a node named \(name)") }
        return (id, peer.address)
    }

    private func begin(_ start: ClusterStart) {
        do {
            let server = try create(start.request)
            if durableStarts[server.uid] == nil { startSucceeded(start.request.cluster, on: identity.id) }
        } catch {
            // Nobody else was asked yet, so there is nothing to undo.
            starts[start.request.cluster] = nil
            for ticket in start.tickets { respond(.error(error), to: ticket) }
            return
        }
        for member in start.members where member.nodeID != identity.id { ask(member, to: start.request) }
        progress(start.request.cluster)
    }

    /// Asks a member's node; one that is not connected is asked again while the start lasts.
    private func ask(_ member: Member, to request: PeerMessage.StartServer) {
        guard let peer = peersByID[member.nodeID], peer.isUp else { return }
        send(.startServer(request), to: peer)
    }

    // MARK: On the members' nodes

    /// Another node asks this one to host a member.
    func start(_ request: PeerMessage.StartServer, for peer: Peer, correlation: UInt64) {
        do {
            let server = try create(request)
            guard durableStarts[server.uid] != nil, let link = peer.link else {
                return replyToStart(request.cluster, refusal: nil, to: peer, correlation: correlation)
            }
            durableStarts[server.uid]?.removeAll { $0.link == link.id }
            durableStarts[server.uid]?.append(
                RequestTicket(link: link.id, correlation: correlation, deadline: now))
        } catch {
            replyToStart(request.cluster, refusal: error, to: peer, correlation: correlation)
            if !tellEnds(of: [request.cluster], to: peer) { tellIfGone(request, to: peer) }
        }
    }

    /// A member whose server is gone from this node can't come back. One that was lost is gone once another was made in its
    /// place; but the configuration with that one may be undone, and then somebody must replace the old one again.
    private func tellIfGone(_ request: PeerMessage.StartServer, to peer: Peer) {
        let members = request.joining.map { [$0.member] } ?? request.initial.members
        guard let uid = members.first(where: { $0.nodeID == identity.id })?.uid, deletedServers.contains(uid) else {
            return
        }
        send(.serversLost([uid]), to: peer)
    }

    private func replyToStart(_ cluster: ClusterID, refusal: FlotillaError?, to peer: Peer, correlation: UInt64) {
        let reply = PeerMessage.StartServerReply(cluster: cluster, refusal: refusal)
        send(.startServerReply(reply), correlation: correlation, to: peer)
    }

    /// A server's own record is durable: only now does it exist for others.
    func serverIsDurable(_ uid: ServerUID) {
        guard let tickets = durableStarts.removeValue(forKey: uid), let server = serversByUID[uid] else { return }
        let cluster = server.creation.clusterID
        for ticket in tickets {
            guard let peer = links[ticket.link]?.peer else { continue }
            replyToStart(cluster, refusal: nil, to: peer, correlation: ticket.correlation)
        }
        startSucceeded(cluster, on: identity.id)
        progress(cluster)
    }

    // MARK: On the coordinator

    func startReplied(_ reply: PeerMessage.StartServerReply, from peer: Peer) {
        guard let id = peer.id, starts[reply.cluster] != nil else { return lateStartReplied(reply, from: peer) }
        if let refusal = reply.refusal {
            startRefused(reply.cluster, on: id, refusal)
        } else {
            startSucceeded(reply.cluster, on: id)
        }
        progress(reply.cluster)
    }

    /// The answer of a node whose member had missed the start.
    private func lateStartReplied(_ reply: PeerMessage.StartServerReply, from peer: Peer) {
        guard let server = serversByCluster[reply.cluster] else { return }
        guard let refusal = reply.refusal else {
            for member in server.members where member.peer === peer { isThere(member.uid, of: server, on: peer) }
            return
        }
        output.events.append(.memberRefused(server.creation.clusterName, peer.name, reason: refusal.message))
        // The other side has given the start up: what is left of it here goes too.
        if refusal.code == .deleted { deleteUnformed(reply.cluster) }
    }

    private func startSucceeded(_ cluster: ClusterID, on node: NodeID) {
        guard starts[cluster]?.members.contains(where: { $0.nodeID == node }) == true else { return }
        starts[cluster]?.started.insert(node)
        starts[cluster]?.refusals[node] = nil
    }

    private func startRefused(_ cluster: ClusterID, on node: NodeID, _ error: FlotillaError) {
        starts[cluster]?.refusals[node] = error
    }

    /// Goes on with a start as far as it can.
    private func progress(_ cluster: ClusterID) {
        guard var start = starts[cluster], !start.isResumed else { return }
        if start.isHopeless { return abandon(start) }
        guard start.hasMajority, start.started.contains(identity.id) else { return }
        if start.majoritySince == nil { start.majoritySince = now }
        let waited = now >= (start.majoritySince ?? now) + configuration.startGrace
        if !start.isElecting, start.isComplete || waited {
            start.isElecting = true
            starts[cluster] = start
            if let server = serversByCluster[cluster] {
                if server.core.leader == nil { step(server, .triggerElection) }
                startHasLeader(server)
            }
            return
        }
        starts[cluster] = start
    }

    /// Answers whoever asked, once the cluster that was started has a leader.
    func startHasLeader(_ server: HostedServer) {
        guard let start = starts[server.creation.clusterID], start.isElecting, let leader = knownLeader(of: server)
        else { return }
        starts[server.creation.clusterID] = nil
        let response = ClusterStarted(
            cluster: server.creation.clusterID, leader: leader,
            started: start.members.filter { start.started.contains($0.nodeID) }.map(\.id),
            notStarted: start.members.filter { !start.started.contains($0.nodeID) }.map(\.id))
        for ticket in start.tickets { respond(.clusterStarted(response), to: ticket) }
    }

    /// Asks those again who have not answered, and gives up those starts whose time is over.
    func watchStarts() {
        for cluster in starts.keys.sorted() {
            guard let start = starts[cluster] else { continue }
            if start.deadline <= now {
                start.hasMajority || start.isResumed ? giveUp(start) : abandon(start)
                continue
            }
            for member in start.members
            where member.nodeID != identity.id && !start.started.contains(member.nodeID)
                && start.refusals[member.nodeID] == nil
            {
                ask(member, to: start.request)
            }
            progress(cluster)
        }
    }

    /// The members run but have no leader yet: the cluster stays, since it may have one at any moment.
    private func giveUp(_ start: ClusterStart) {
        starts[start.request.cluster] = nil
        let error = FlotillaError(
            .timeout, "a majority of \(start.request.name) runs but has elected no leader in time; it is kept")
        for ticket in start.tickets { respond(.error(error), to: ticket) }
    }

    /// No majority can be had: everything that was started is deleted again.
    private func abandon(_ start: ClusterStart) {
        let cluster = start.request.cluster
        starts[cluster] = nil
        deleteUnformed(cluster)
        for member in start.members {
            if let peer = peersByID[member.nodeID] { send(.deleteServer(cluster), to: peer) }
        }
        let missing = start.members.filter { !start.started.contains($0.nodeID) }.map { member in
            "\(member.id): \(start.refusals[member.nodeID]?.message ?? "no answer")"
        }
        let error = FlotillaError(
            .clusterNotFormed, "no majority of \(start.request.name) started (\(missing.joined(separator: "; ")))")
        for ticket in start.tickets { respond(.error(error), to: ticket) }
    }
}
