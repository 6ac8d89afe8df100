import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The deletion of a whole cluster. An entry ends it; whoever has applied that deletes its server, keeps a tombstone and
/// tells the other members. A member that was down then is told when it comes back, by any node with a tombstone.
extension Kernel {
    // MARK: Asking

    /// A client wants the cluster of a server deleted.
    func deleteCluster(of server: HostedServer, _ ticket: RequestTicket) {
        do throws(FlotillaError) {
            _ = try end(server)
            server.endWaiters.append(ticket)
            watch(server)
        } catch {
            respond(.error(error), to: ticket)
        }
    }

    /// Begins the deletion of a whole cluster; to be asked of the leader's node. It is lasting once the index is
    /// committed.
    ///
    /// - Returns: where in the log the entry stands that ends it.
    package func deleteCluster(named name: ClusterName) -> Result<LogIndex, FlotillaError> {
        guard let server = serversByName[name] else {
            return .failure(
                FlotillaError(.unknownCluster, "node \(identity.name) has no member of cluster \(name)"))
        }
        return Result { () throws(FlotillaError) in try end(server) }
    }

    /// Puts the end of a cluster into its leader's log. Whoever asks again gets the same.
    private func end(_ server: HostedServer) throws(FlotillaError) -> LogIndex {
        guard server.core.role == .leader else { throw notLeader(server) }
        if let index = server.core.endIndex { return index }
        if let refusal = refusalOfEntries(by: server) { throw refusal }
        guard case .success(let index) = server.core.proposeEnd() else { throw notLeader(server) }
        append(.endOfLife, body: ByteBuffer(), at: index, for: server)
        markDirty(server)
        return index
    }

    /// Why a server takes nothing more behind the end of its cluster.
    func isEnding(_ server: HostedServer) -> FlotillaError {
        FlotillaError(.deleted, "cluster \(server.creation.clusterName) is being deleted")
    }

    /// The entry that was to end the cluster is gone with the tail of this log. It may stand in another member's still.
    func deletionIsUndone(of server: HostedServer) {
        let waiters = server.endWaiters
        server.endWaiters = []
        let error = FlotillaError(
            .outcomeUnknown, "another leader's entry stands in the place of the one that was to end the cluster",
            leader: server.name(of: server.core.leader))
        for ticket in waiters { respond(.error(error), to: ticket) }
    }

    // MARK: The end

    /// Deletes a server whose cluster has ended, once nothing more is to be done here.
    ///
    /// A follower goes as soon as it has applied the end and has it durably, which it has acknowledged then. The leader
    /// goes last, so that the others learn from the log that it is committed, and so that a cluster of the same name
    /// can be started as soon as it has answered; but it does not wait long for one that is up and does not go.
    ///
    /// - Returns: whether it is deleted.
    func leaveIfOver(_ server: HostedServer) -> Bool {
        guard let end = server.core.committedEnd, let term = server.core.logTerms.term(at: end) else { return false }
        // A machine that has failed applies nothing more, and need not: nobody will ask it any more.
        guard server.applied >= end || server.failure != nil, server.core.durableIndex >= end else { return false }
        if server.endedAt == nil {
            server.endedAt = now
            tellEndOfLife(of: server)
            watch(server)
        }
        guard server.core.role != .leader || hasWaitedForOthers(server) else { return false }
        leave(server, PeerMessage.DeletedCluster(cluster: server.creation.clusterID, index: end, term: term))
        return true
    }

    /// How long a leader waits for members that are up to be deleted.
    private static let deletionPatience = Duration.seconds(2)

    private func hasWaitedForOthers(_ server: HostedServer) -> Bool {
        let limit = server.endedAt.map { $0 + Self.deletionPatience } ?? now
        return limit <= now || !server.members.contains { server.core.isUp($0.uid) }
    }

    /// Deletes a server with its cluster, and tells the other members.
    private func leave(_ server: HostedServer, _ end: PeerMessage.DeletedCluster) {
        let waiters = server.endWaiters
        server.endWaiters = []
        for ticket in waiters { respond(.done, to: ticket) }
        let error = FlotillaError(.deleted, "the command stands behind the end of the cluster; it is never applied")
        reject(server.pending.takeAll(from: end.index), by: server, error)
        // Where the list stands at the moment is nobody's business: those that are set aside may have come back.
        let others = server.members.compactMap(\.peer)
        deletedClusters.insert(end.cluster)
        endedClusters[end.cluster] = end
        delete(server, end)
        for peer in others where peer.isUp { send(.clustersDeleted([end]), to: peer) }
    }

    // MARK: Telling

    /// Tells another node which of the clusters that it has spoken of were deleted as a whole.
    ///
    /// - Returns: whether any was.
    @discardableResult
    func tellEnds(of clusters: [ClusterID], to peer: Peer) -> Bool {
        guard !endedClusters.isEmpty else { return false }
        let ends = clusters.compactMap { endedClusters[$0] }
        guard !ends.isEmpty else { return false }
        send(.clustersDeleted(ends), to: peer)
        return true
    }

    /// Another node says that clusters were deleted. It is believed where it hosted a member, as far as the server here
    /// knows; nothing else that is said, or not said, deletes a server.
    func wereDeleted(_ clusters: [PeerMessage.DeletedCluster], on peer: Peer) {
        guard peer.isUp else { return }
        for end in clusters {
            guard let server = serversByCluster[end.cluster], isMemberNode(peer, of: server) else { continue }
            for member in server.members where member.peer === peer { step(server, .peerDown(member.uid)) }
            // What it hosts no more is not counted as shared, or both would send their lists again.
            setAside(server, on: peer)
            hear(of: end, server)
        }
    }

    private func isMemberNode(_ peer: Peer, of server: HostedServer) -> Bool {
        let members = server.core.configuration.members + server.core.committedConfiguration.members
        return members.contains { $0.nodeID == peer.id && $0.uid != server.uid }
    }

    private func hear(of end: PeerMessage.DeletedCluster, _ server: HostedServer) {
        // Who has the entry goes as if its leader had said that it is committed.
        if server.core.hearOfEnd(at: end.index, term: end.term) { return markDirty(server) }
        // A leader that has not committed it yet need not: those that are up hear the rest from this node.
        // What is committed here is committed everywhere: a cluster whose log goes on otherwise has not ended so.
        guard server.core.commitIndex < end.index else { return }
        tellEndOfLife(of: server)
        leave(server, end)
    }

    // MARK: Waiting

    private func watch(_ server: HostedServer) {
        if !endingServers.contains(where: { $0 === server }) { endingServers.append(server) }
    }

    /// Answers those who have waited long enough for a cluster to be deleted, and lets leaders go that have.
    func watchDeletions() {
        for server in endingServers {
            let late = server.endWaiters.filter { $0.deadline <= now }
            server.endWaiters.removeAll { $0.deadline <= now || links[$0.link] == nil }
            let error = FlotillaError(
                .timeout, "the end of cluster \(server.creation.clusterName) is not committed yet, and may still be")
            for ticket in late { respond(server.endedAt == nil ? .error(error) : .done, to: ticket) }
            if server.endedAt != nil { markDirty(server) }
        }
        endingServers.removeAll { $0.endWaiters.isEmpty && $0.endedAt == nil }
    }

    // MARK: Storage

    /// Takes up what is left of a cluster that was deleted before the last restart.
    func takeUp(_ tombstone: Tombstone) {
        guard tombstone.index > .zero else { return }
        endedClusters[tombstone.clusterID] = PeerMessage.DeletedCluster(
            cluster: tombstone.clusterID, index: tombstone.index, term: tombstone.term)
    }

    /// The last entry that may go to a segment. The end of a cluster never does: as long as it is not committed it stays
    /// in the log of the node, and so in memory, where a restart finds it.
    func lastToFlush(of server: HostedServer) -> LogIndex {
        min(server.table.lastIndex, server.core.endIndex?.previous ?? server.table.lastIndex)
    }

    /// Whether all before the end of its cluster is in segments.
    func hasOnlyEndToFlush(_ server: HostedServer) -> Bool {
        server.core.endIndex.map { server.storage.flushed.next >= $0 } ?? false
    }

    /// Where a recovered log ends its cluster, if it does: nothing follows that but the first entries of later terms.
    func endOfCluster(in table: MemoryTable) -> LogIndex? {
        var index = table.lastIndex
        while index >= table.firstIndex, index > .zero, let entry = table.entry(at: index) {
            switch entry.withUnsafeReadableBytes({ $0.baseAddress.flatMap { EntryHeader.loadTrusted(from: $0) } })?.kind
            {
            case .endOfLife: return index
            case .noop: index = index.previous
            default: return nil
            }
        }
        return nil
    }
}
