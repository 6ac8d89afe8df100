import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The servers of this node: made, and deleted.
extension Kernel {
    /// Makes the server of this node in a new cluster, or that of a member that joins. Nothing of it may be said before
    /// its record is durable, so the server is made known to the others only then.
    ///
    /// - Throws: `FlotillaError` when the name is taken or the machine unknown.
    func create(_ request: PeerMessage.StartServer) throws(FlotillaError) -> HostedServer {
        let member = try memberHere(of: request)
        if endedClusters[request.cluster] != nil {
            throw FlotillaError(.deleted, "cluster \(request.name) was deleted as a whole")
        }
        if let existing = serversByName[request.name], existing.creation.clusterID != request.cluster {
            throw FlotillaError(.clusterExists, "node \(identity.name) already has a cluster named \(request.name)")
        }
        let existing = serversByCluster[request.cluster]
        if let existing {
            guard existing.creation.initial.namesTheSame(as: request.initial) else {
                throw FlotillaError(.clusterExists, "cluster \(request.cluster) was started with other members")
            }
            if existing.uid == member.uid { return existing }
            guard mayReplace(existing, by: request.joining) else {
                throw FlotillaError(.clusterExists, "node \(identity.name) hosts another member of \(request.name)")
            }
        } else if request.joining == nil, deletedClusters.contains(request.cluster) {
            throw FlotillaError(.deleted, "cluster \(request.cluster) was deleted on node \(identity.name)")
        }
        if deletedServers.contains(member.uid) {
            throw FlotillaError(.deleted, "server \(member.uid) was deleted on node \(identity.name), or is lost there")
        }
        try check(member, of: request)
        return try make(member, of: request, insteadOf: existing)
    }

    private func memberHere(of request: PeerMessage.StartServer) throws(FlotillaError) -> Member {
        let candidates = request.joining.map { [$0.member] } ?? request.initial.members
        guard let member = candidates.first(where: { $0.nodeID == identity.id }) else {
            throw FlotillaError(
                .unknownMember, "cluster \(request.name) has no member with the identity of node \(identity.name)")
        }
        return member
    }

    private func check(_ member: Member, of request: PeerMessage.StartServer) throws(FlotillaError) {
        let isNamedRight = member.id == ServerID(cluster: request.name, node: identity.name)
        let isOnlyOne =
            request.joining == nil
            ? request.initial.members.filter { $0.nodeID == identity.id }.count == 1
            : request.initial.member(member.uid) == nil
        guard member.uid != .none, serversByUID[member.uid] == nil, isNamedRight, isOnlyOne else {
            throw FlotillaError(
                .invalidArgument, "the configuration names node \(identity.name) in a way that can't be")
        }
    }

    /// Whether a server may go because a new member of its cluster joins on this node. A member of the same name is added
    /// only after the removal of the one before was committed; so the leader that asks vouches for it, unless the request
    /// is older than what the server has seen since.
    private func mayReplace(_ server: HostedServer, by joining: PeerMessage.StartServer.Joining?) -> Bool {
        guard let joining else { return false }
        if server.core.isRemoved { return true }
        // Whoever asks without leading may be behind: what it asks for must not cost a server that is there.
        guard joining.term > .zero else { return false }
        return server.core.committedConfiguration.member(server.uid) == nil && joining.term >= server.core.term
    }

    private func make(
        _ member: Member, of request: PeerMessage.StartServer, insteadOf old: HostedServer?
    ) throws(FlotillaError) -> HostedServer {
        let creation = ServerCreation(
            uid: member.uid, clusterID: request.cluster, clusterName: request.name, id: member.id,
            machine: request.machine, machineConfiguration: request.machineConfiguration, initial: request.initial,
            createdAt: wallClock)
        let machine = try makeMachine(for: creation)
        if let old { delete(old) }
        deleteLost(of: request.cluster)
        let server = host(
            creation, machine: machine, state: .fresh(request.initial), table: MemoryTable(),
            storage: ServerStorage(uid: creation.uid, cluster: creation.clusterID, files: nil, flushed: .zero),
            replayedThrough: .zero)
        durableStarts[server.uid] = []
        output.records.append(.serverCreated(creation))
        output.events.append(.serverStarted(creation.id, creation.clusterID))
        return server
    }

    /// What another node is asked that is to start a member of the same cluster.
    func startRequest(
        for creation: ServerCreation, joining: PeerMessage.StartServer.Joining? = nil
    ) -> PeerMessage.StartServer {
        PeerMessage.StartServer(
            cluster: creation.clusterID, name: creation.clusterName, machine: creation.machine,
            machineConfiguration: creation.machineConfiguration, initial: creation.initial, joining: joining)
    }

    /// Deletes the server of a cluster that was never formed. A server that has taken a command, or is of a cluster whose
    /// members have changed, stays.
    func deleteUnformed(_ cluster: ClusterID) {
        guard let server = serversByCluster[cluster], server.core.commitIndex == .zero, server.core.hasBeenMember,
            server.core.configurationIndex == .zero, !hasCommands(server)
        else { return }
        deletedClusters.insert(cluster)
        delete(server)
    }

    /// Deletes a server for good.
    ///
    /// - Parameter end: the entry that has ended the whole cluster; `nil` where only this server goes.
    func delete(_ server: HostedServer, _ end: PeerMessage.DeletedCluster? = nil) {
        let name = server.creation.clusterName
        let error = FlotillaError(end == nil ? .unknownCluster : .deleted, "cluster \(name) was deleted")
        letGo(of: server, error)
        output.records.append(
            .serverDeleted(
                server.uid, server.creation.clusterID, index: end?.index ?? .zero, term: end?.term ?? .zero))
        output.events.append(.serverDeleted(server.creation.id, server.creation.clusterID))
        releaseLogFiles()
    }

    /// Takes a server out of the kernel's tables for good.
    ///
    /// - Parameter error: what whoever waits for something of it is told.
    func letGo(of server: HostedServer, _ error: FlotillaError) {
        deletedServers.insert(server.uid)
        server.isDeleted = true
        removeShares(of: server)
        servers[server.slot] = nil
        freeSlots.append(server.slot)
        serversByUID[server.uid] = nil
        serversWithLostMembers.removeAll { $0 === server }
        serversInRepair.removeAll { $0 === server }
        endingServers.removeAll { $0 === server }
        serversByCluster[server.creation.clusterID] = nil
        if serversByName[server.creation.clusterName] === server { serversByName[server.creation.clusterName] = nil }
        memoryBytes -= server.table.byteCount
        durableStarts[server.uid] = nil
        refuseWaiters(of: server, error)
    }

    /// Nobody waits for a server that is gone.
    private func refuseWaiters(of server: HostedServer, _ error: FlotillaError) {
        for ticket in server.locateWaiters { respond(.error(error), to: ticket) }
        refuseSnapshots(of: server, error)
        for ticket in server.endWaiters { respond(.error(error), to: ticket) }
        server.endWaiters = []
        if let ticket = server.transferWaiter { respond(.error(error), to: ticket) }
        for waiter in server.sessions.waiters { respond(.error(error), to: waiter.ticket) }
        let lost = "the member of \(server.creation.clusterName) that took the change in was removed"
        for waiter in server.changeWaiters { respond(.error(FlotillaError(.outcomeUnknown, lost)), to: waiter.ticket) }
        for ticket in server.reads.takeLate(Instant(nanoseconds: .max)) { refuse(ticket, of: server, error) }
        // The others may have committed what was taken in here.
        let unknown = FlotillaError(
            .outcomeUnknown, "the member of \(server.creation.clusterName) that took the command in was removed")
        reject(server.pending.takeAll(from: .zero), by: server, unknown)
        reject(server.displaced.takeAll().map(\.waiter), by: server, unknown)
    }

    private func hasCommands(_ server: HostedServer) -> Bool {
        seal(server)
        guard server.core.lastIndex > .zero else { return false }
        for slice in server.table.slices(from: server.table.firstIndex, through: server.core.lastIndex) {
            var rest = slice
            while let length: UInt32 = rest.getInteger(at: rest.readerIndex + 4, endianness: .little) {
                if rest.getInteger(at: rest.readerIndex, as: UInt8.self) == EntryKind.command.rawValue { return true }
                rest.moveReaderIndex(forwardBy: min(EntryHeader.byteCount + Int(length), rest.readableBytes))
            }
        }
        return false
    }
}

extension ClusterConfiguration {
    /// Whether both name the same members; that one may have another address by now makes no difference.
    fileprivate func namesTheSame(as other: ClusterConfiguration) -> Bool {
        members.count == other.members.count
            && zip(members, other.members).allSatisfy { left, right in
                left.id == right.id && left.uid == right.uid && left.nodeID == right.nodeID && left.role == right.role
            }
    }
}
