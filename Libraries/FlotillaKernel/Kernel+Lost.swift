import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// Servers that are not whole any more, because something of their files is damaged. What they have promised can't be
/// known, so they take no part in anything; the other members put a new one in their place, under another identity.
extension Kernel {
    // MARK: Here

    /// Keeps a server out of everything.
    ///
    /// - Parameter reason: what has been found; `nil` where it was lost before, and the log says so.
    func takeLost(_ server: LostServer, because reason: String?) {
        lost[server.uid] = server
        deletedServers.insert(server.uid)
        guard let reason else { return }
        output.records.append(.serverLost(server.uid))
        output.events.append(.serverLost(server.uid, server.creation?.id, reason: reason))
    }

    /// Gives up a server that was whole at the last start.
    func lose(_ server: HostedServer, because reason: String) {
        let sharers = server.sharers
        letGo(of: server, FlotillaError(.halted, "\(server.creation.id) is lost: \(reason)"))
        takeLost(LostServer(uid: server.uid, creation: server.creation, damage: nil), because: reason)
        for peer in sharers where peer.isUp { send(.serversLost([server.uid]), to: peer) }
        releaseLogFiles()
    }

    /// Says which servers are lost here; whoever leads their clusters replaces them.
    func tellLost(to peer: Peer) {
        var rest = lost.keys.sorted()[...]
        while !rest.isEmpty {
            send(.serversLost(Array(rest.prefix(Limits.clustersPerPage))), to: peer)
            rest = rest.dropFirst(Limits.clustersPerPage)
        }
    }

    /// Deletes the lost server of a cluster of which another member is made here: its leader wants it so, and so what is
    /// left of the old one is needed by nobody.
    func deleteLost(of cluster: ClusterID) {
        for (uid, server) in lost.sorted(by: { $0.key < $1.key }) where server.creation?.clusterID == cluster {
            lost[uid] = nil
            output.records.append(.serverDeleted(uid, cluster, index: .zero, term: .zero))
        }
    }

    // MARK: Elsewhere

    /// Another node says that members of clusters are lost there.
    func areLost(_ servers: [ServerUID], on peer: Peer) {
        guard peer.isUp else { return }
        let all = Set(servers)
        for server in peer.concernedServers {
            for member in server.core.configuration.members where member.nodeID == peer.id && all.contains(member.uid) {
                step(server, .peerDown(member.uid))
                guard !server.lostMembers.contains(member.uid) else { continue }
                server.lostMembers.append(member.uid)
                if !serversWithLostMembers.contains(where: { $0 === server }) { serversWithLostMembers.append(server) }
            }
        }
    }

    /// Replaces lost members where this node leads and may. Whoever does not lead remembers them: it may lead later.
    func replaceLostMembers() {
        for server in serversWithLostMembers {
            server.lostMembers.removeAll { uid in
                server.core.configuration.member(uid) == nil && server.core.committedConfiguration.member(uid) == nil
            }
            replaceLostMember(of: server)
        }
        serversWithLostMembers.removeAll { $0.lostMembers.isEmpty }
    }

    private func replaceLostMember(of server: HostedServer) {
        guard server.core.membershipRefusal == nil else { return }
        for uid in server.lostMembers {
            guard let old = server.core.configuration.member(uid), let peer = peersByID[old.nodeID], peer.isUp else {
                continue
            }
            let role: MemberRole = old.role == .nonVoter ? .nonVoter : .promotable(target: .zero)
            let new = Member(
                id: old.id, uid: .random(using: &random), nodeID: old.nodeID, address: peer.address, role: role)
            // Whoever may not change the members at the moment tries again at the next round.
            guard (try? change(.replace(uid, by: new), by: server)) != nil else { continue }
            output.events.append(.memberReplaced(server.creation.clusterName, peer.name))
            return invite(new.uid, of: server, on: peer)
        }
    }
}
