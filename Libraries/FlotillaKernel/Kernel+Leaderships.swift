import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// How the nodes of a pair make sure that they believe the same of the clusters that they share, without a byte for
/// each cluster: every ping carries a sum of hashes, and only where the sums keep differing is the list exchanged.
extension Kernel {
    /// Works out anew on which nodes the other members live, after the configuration has changed.
    func refreshMembers(of server: HostedServer) {
        removeShares(of: server)
        let others = server.core.configuration.members.filter { $0.uid != server.uid }
        let known = Set(server.members.map(\.uid))
        server.members = others.map { MemberLink(uid: $0.uid, peer: peer(hosting: $0)) }
        for member in server.members { server.strangers[member.uid] = nil }
        addShares(of: server)
        for member in server.members where !known.contains(member.uid) && member.peer?.isUp == true {
            step(server, .peerUp(member.uid))
        }
    }

    private func addShares(of server: HostedServer) {
        server.digestShare = share(of: server)
        for member in server.members {
            guard let peer = member.peer, !peer.sharedServers.contains(where: { $0 === server }) else { continue }
            peer.sharedServers.append(server)
            peer.digest &+= server.digestShare
        }
    }

    func removeShares(of server: HostedServer) {
        for member in server.members {
            guard let peer = member.peer, let position = peer.sharedServers.firstIndex(where: { $0 === server })
            else { continue }
            peer.sharedServers.remove(at: position)
            peer.digest &-= server.digestShare
        }
    }

    /// Keeps the digests in step after the server's term or leader has changed.
    func updateShare(of server: HostedServer) {
        let share = share(of: server)
        guard share != server.digestShare else { return }
        for member in server.members { member.peer?.digest &+= share &- server.digestShare }
        server.digestShare = share
    }

    private func share(of server: HostedServer) -> UInt64 {
        var hash = server.creation.clusterID.high
        let leader = server.core.leader ?? .none
        for word in [server.creation.clusterID.low, server.core.term.rawValue, leader.high, leader.low] {
            hash = mix(hash ^ word)
        }
        return hash
    }

    /// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the sum.
    private func mix(_ word: UInt64) -> UInt64 {
        var mixed = word &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

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

    /// Sends what this node believes of the clusters that it shares with another.
    func sendLeaderships(to peer: Peer, wantsAnswer: Bool) {
        peer.counters.leadershipLists += 1
        var rest = peer.sharedServers[...]
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

    /// A word from a member shows that it is there, whatever was heard of it before: it may have been started since.
    func isThere(_ uid: ServerUID, of server: HostedServer, on peer: Peer) {
        guard peer.isUp, !server.core.isUp(uid), server.members.contains(where: { $0.uid == uid && $0.peer === peer })
        else { return }
        step(server, .peerUp(uid))
    }

    func receive(_ page: PeerMessage.Leaderships, from peer: Peer) {
        for belief in page.clusters {
            peer.listed.insert(belief.cluster)
            guard let server = serversByCluster[belief.cluster] else { continue }
            isThere(belief.server, of: server, on: peer)
            step(server, .peerState(belief.server, term: belief.term, leader: belief.leader))
        }
        guard page.isLast else { return }
        let listed = peer.listed
        peer.listed.removeAll()
        for server in peer.sharedServers where !listed.contains(server.creation.clusterID) {
            isMissing(server, on: peer)
        }
        if page.wantsAnswer { sendLeaderships(to: peer, wantsAnswer: false) }
    }

    /// The other node does not speak of a cluster that it should have a member of: it missed the start, most likely.
    /// It checks itself whether it may host that member.
    private func isMissing(_ server: HostedServer, on peer: Peer) {
        for member in server.members where member.peer === peer {
            step(server, .peerDown(member.uid))
            guard server.creation.initial.member(member.uid) != nil, server.nextLateStart <= now else { continue }
            server.nextLateStart = now + configuration.lateStartInterval
            // One that has acknowledged entries before has lost them: it must not vote again as if it never had any.
            if server.core.peerOverview.contains(where: { $0.uid == member.uid && $0.match > .zero }) {
                output.events.append(
                    .memberRefused(
                        server.creation.clusterName, peer.name, reason: "it has lost the data of its member"))
                continue
            }
            send(.startServer(startRequest(for: server.creation)), to: peer)
        }
    }
}
