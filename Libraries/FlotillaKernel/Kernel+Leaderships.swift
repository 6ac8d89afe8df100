import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// How the nodes of a pair make sure that they believe the same of the clusters that they share, without a byte for
/// each cluster: every ping carries a sum of hashes, and only where the sums keep differing is the list exchanged.
extension Kernel {
    /// Compares the digest of a ping. One difference may only mean that a change is on its way.
    func compare(_ ping: PeerMessage.Ping, with peer: Peer) {
        if ping.digest == peer.digest, ping.count == UInt32(peer.sharedServers.count) {
            peer.digestMismatches = 0
            return
        }
        peer.digestMismatches += 1
        if peer.digestMismatches >= 2 {
            peer.digestMismatches = 0
            sendLeaderships(to: peer, wantsAnswer: true)
        }
    }

    /// Sends what this node believes of the clusters that it shares with another. Those that it has set aside are
    /// named too: the other side may have set them aside for no other reason than that they were not.
    func sendLeaderships(to peer: Peer, wantsAnswer: Bool) {
        peer.counters.leadershipLists += 1
        var rest = (peer.sharedServers + peer.setAside.map(\.server))[...]
        repeat {
            let page = rest.prefix(Limits.clustersPerPage)
            rest = rest.dropFirst(page.count)
            let clusters = page.map { server in
                PeerMessage.Leaderships.Cluster(
                    cluster: server.creation.clusterID, server: server.uid, term: server.core.term,
                    leader: server.core.leader)
            }
            let message = PeerMessage.Leaderships(
                wantsAnswer: wantsAnswer && rest.isEmpty, isLast: rest.isEmpty, clusters: clusters)
            send(.leaderships(message), to: peer)
        } while !rest.isEmpty
    }

    func receive(_ page: PeerMessage.Leaderships, from peer: Peer) {
        // As with everything that comes from a node that counts as down; when it is up again the lists are sent anew.
        guard peer.isUp else { return }
        for belief in page.clusters {
            peer.listed.insert(belief.server)
            guard let server = serversByCluster[belief.cluster] else { continue }
            server.meet(belief.server, on: peer)
            takeBack(server, on: peer)
            isThere(belief.server, of: server, on: peer)
            step(server, .peerState(belief.server, term: belief.term, leader: belief.leader))
        }
        tellEnds(of: page.clusters.map(\.cluster), to: peer)
        guard page.isLast else { return }
        let listed = peer.listed
        peer.listed.removeAll()
        for server in peer.sharedServers
        where !server.members.contains(where: { $0.peer === peer && listed.contains($0.uid) }) {
            isMissing(server, on: peer)
        }
        if page.wantsAnswer { sendLeaderships(to: peer, wantsAnswer: false) }
    }

    /// A word from a member shows that it is there, whatever was heard of it before: it may have been started since.
    func isThere(_ uid: ServerUID, of server: HostedServer, on peer: Peer) {
        guard peer.isUp, !server.core.isUp(uid), server.members.contains(where: { $0.uid == uid && $0.peer === peer })
        else { return }
        step(server, .peerUp(uid))
    }

    /// The other node does not host a server that it was sent a message for. If that one should be there, the lists are
    /// compared: the sums may be the same though the other node hosts another server of the cluster.
    func isUnknown(_ uid: ServerUID, of cluster: ClusterID, on peer: Peer) {
        guard let server = serversByCluster[cluster] else { return }
        let wasUp = server.core.isUp(uid)
        step(server, .peerDown(uid))
        guard wasUp, server.members.contains(where: { $0.uid == uid && $0.peer === peer }) else { return }
        sendLeaderships(to: peer, wantsAnswer: true)
    }

    /// The other node does not speak of the member that it should have: it missed the start, most likely, or it believes
    /// that this server is no member. Until it does, or some time has passed, the cluster is not counted as shared with
    /// it, so that the difference does not make both send their lists for ever.
    private func isMissing(_ server: HostedServer, on peer: Peer) {
        for member in server.members where member.peer === peer {
            step(server, .peerDown(member.uid))
            invite(member.uid, of: server, on: peer)
        }
        setAside(server, on: peer)
    }
}
