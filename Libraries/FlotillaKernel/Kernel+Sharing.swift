import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// With which nodes a server shares its cluster: those that host the other members, as far as this server knows.
extension Kernel {
    /// Works out anew on which nodes the other members live, after the configuration has changed.
    func refreshMembers(of server: HostedServer) {
        let before = server.members
        removeShares(of: server)
        server.members = memberLinks(of: server)
        for member in server.core.configuration.members { server.strangers[member.uid] = nil }
        addShares(of: server)
        for old in before where !server.members.contains(where: { $0.uid == old.uid }) {
            step(server, .peerDown(old.uid))
        }
        for new in server.members where !before.contains(where: { $0.uid == new.uid }) && new.peer?.isUp == true {
            step(server, .peerUp(new.uid))
        }
    }

    /// The other members and, behind them, the leader if it is none: one that was removed leads until that is committed,
    /// and a server that is behind is led by one that it does not know yet.
    private func memberLinks(of server: HostedServer) -> [MemberLink] {
        guard !server.core.isRemoved else { return [] }
        var links: [MemberLink] = []
        // A server that is about to join knows only who was there at the beginning.
        if server.core.hasBeenMember {
            links = server.core.configuration.members.filter { $0.uid != server.uid }.map { member in
                MemberLink(uid: member.uid, peer: peer(hosting: member))
            }
        }
        if let leader = server.core.leader, leader != server.uid, !links.contains(where: { $0.uid == leader }) {
            let known = server.members.first { $0.uid == leader }?.peer ?? server.strangers[leader]
            if let known { links.append(MemberLink(uid: leader, peer: known)) }
        }
        return links
    }

    /// Works them out anew if another leader makes a difference to them.
    func refreshLeader(of server: HostedServer) {
        let leader = server.core.leader
        let isNew = leader.map { uid in uid != server.uid && !server.members.contains { $0.uid == uid } } ?? false
        let isOldLeft = server.members.contains { server.core.configuration.member($0.uid) == nil }
        if isNew || isOldLeft { refreshMembers(of: server) }
    }

    /// Works them out anew once the server has learned that it was removed, or that it was not.
    func refreshStanding(of server: HostedServer) {
        guard server.core.isRemoved != server.isNotedRemoved else { return }
        server.isNotedRemoved = server.core.isRemoved
        refreshMembers(of: server)
    }

    private func addShares(of server: HostedServer) {
        server.digestShare = share(of: server)
        for member in server.members {
            if let peer = member.peer, !server.sharers.contains(where: { $0 === peer }) {
                addShare(of: server, to: peer)
            }
        }
    }

    private func addShare(of server: HostedServer, to peer: Peer) {
        server.sharers.append(peer)
        peer.sharedServers.append(server)
        peer.digest &+= server.digestShare
    }

    private func removeShare(of server: HostedServer, from peer: Peer) {
        server.sharers.removeAll { $0 === peer }
        guard let position = peer.sharedServers.firstIndex(where: { $0 === server }) else { return }
        peer.sharedServers.remove(at: position)
        peer.digest &-= server.digestShare
    }

    func removeShares(of server: HostedServer) {
        for peer in server.sharers { removeShare(of: server, from: peer) }
        for peer in peers { peer.setAside.removeAll { $0.server === server } }
    }

    /// Keeps the digests in step after the server's term or leader has changed.
    func updateShare(of server: HostedServer) {
        let share = share(of: server)
        guard share != server.digestShare else { return }
        for peer in server.sharers { peer.digest &+= share &- server.digestShare }
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

    // MARK: What the other side does not share

    /// Counts a cluster as not shared with a node for a while.
    func setAside(_ server: HostedServer, on peer: Peer) {
        guard server.sharers.contains(where: { $0 === peer }) else { return }
        removeShare(of: server, from: peer)
        peer.setAside.append((server: server, until: now + configuration.lateStartInterval))
    }

    /// Counts a cluster that was set aside as shared again, if there is a reason for it still.
    func takeBack(_ server: HostedServer, on peer: Peer) {
        guard let position = peer.setAside.firstIndex(where: { $0.server === server }) else { return }
        peer.setAside.remove(at: position)
        if !server.sharers.contains(where: { $0 === peer }) { addShare(of: server, to: peer) }
    }

    /// Takes everything back that was set aside; after a new connection the lists are compared anyway.
    func takeAllBack(on peer: Peer) {
        for item in peer.setAside { takeBack(item.server, on: peer) }
    }

    /// Takes back what was set aside for long enough, and compares the lists once more.
    func watchSetAside() {
        for peer in peers where peer.isUp {
            let due = peer.setAside.filter { $0.until <= now }
            for item in due { takeBack(item.server, on: peer) }
            if !due.isEmpty { sendLeaderships(to: peer, wantsAnswer: true) }
        }
    }
}
