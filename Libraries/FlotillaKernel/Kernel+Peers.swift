import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The other nodes: how they are found, who they are, and whether they live.
extension Kernel {
    // MARK: Acquaintance

    /// Notes a node that is known by name and address only.
    @discardableResult
    func learn(_ name: NodeName, at address: NodeAddress) -> Peer {
        if let peer = peers.first(where: { $0.name == name }) { return peer }
        let peer = Peer(name: name, address: address, configuration: configuration, now: now)
        peers.append(peer)
        return peer
    }

    /// Takes up a node that said hello before the last restart.
    func adopt(_ known: KnownPeer) {
        let peer =
            peersByID[known.nodeID]
            ?? Peer(
                name: known.name, address: known.address, configuration: configuration, now: now)
        if peersByID[known.nodeID] == nil { peers.append(peer) }
        peer.id = known.nodeID
        peer.address = known.address
        peer.incarnation = known.incarnation
        peersByID[known.nodeID] = peer
    }

    /// The node that hosts a member; noted with the member's address when it has not been heard of.
    func peer(hosting member: Member) -> Peer? {
        if member.nodeID == identity.id { return nil }
        if let peer = peersByID[member.nodeID] { return peer }
        let peer: Peer
        if let named = peers.first(where: { $0.name == member.id.node && $0.id == nil }) {
            peer = named
        } else {
            peer = Peer(name: member.id.node, address: member.address, configuration: configuration, now: now)
            peers.append(peer)
        }
        peer.id = member.nodeID
        peersByID[member.nodeID] = peer
        return peer
    }

    /// Why a node that said hello may not connect; `nil` when it may.
    func refusal(of node: Hello.Node) -> FlotillaError? {
        if node.id == identity.id { return FlotillaError(.refused, "this is node \(identity.name) itself") }
        if node.name == identity.name {
            return FlotillaError(.refused, "another node is named \(identity.name) too: \(node.id) at \(node.address)")
        }
        if let known = peersByID[node.id], node.incarnation < known.incarnation {
            return FlotillaError(
                .refused,
                "node \(node.name) was started \(known.incarnation) times before and now says \(node.incarnation): "
                    + "its data directory is an old copy")
        }
        return nil
    }

    /// A node has said who it is, and is welcome.
    func introduce(_ node: Hello.Node, on link: Link, dialled: Peer?) {
        let peer = acquaint(node, dialled: dialled)
        // Another node than was expected there is a failure for the one that was: it is not tried again at once.
        if let dialled { dialEnded(dialled, failed: dialled !== peer) }
        if node.incarnation > peer.incarnation {
            // An earlier incarnation is gone for good, even if its connection has not noticed yet. Only a new one
            // may have moved to another address.
            if let old = peer.link { drop(old, of: peer, reason: "it was started again") }
            peer.incarnation = node.incarnation
            peer.address = node.address
            peer.machines.removeAll()
            output.records.append(
                .peer(
                    KnownPeer(
                        nodeID: node.id, name: node.name, address: node.address, incarnation: node.incarnation)))
        }
        link.role = .peer(peer)
        // A connection that has gone silent must not keep a new one out.
        if let silent = peer.link, !peer.isUp { drop(silent, of: peer, reason: "it has connected again") }
        if peer.link == nil {
            establish(link, of: peer)
        } else if identity.id < node.id || !peer.standby.isEmpty {
            // Both have dialled. The node with the lower identity decides, or both might close the other's.
            close(link)
        } else {
            peer.standby.append(link)
        }
    }

    private func acquaint(_ node: Hello.Node, dialled: Peer?) -> Peer {
        if let known = peersByID[node.id] { return known }
        let unnamed = dialled.flatMap { $0.id == nil && $0.name == node.name ? $0 : nil }
        let peer =
            unnamed ?? peers.first { $0.name == node.name && $0.id == nil }
            ?? Peer(name: node.name, address: node.address, configuration: configuration, now: now)
        if !peers.contains(where: { $0 === peer }) { peers.append(peer) }
        peer.id = node.id
        peersByID[node.id] = peer
        return peer
    }

    // MARK: Connections

    private func establish(_ link: Link, of peer: Peer) {
        peer.link = link
        peer.isLeaving = false
        peer.dialFailures = 0
        peer.counters.connections += 1
        peer.detector.forgive(at: now)
        peer.nextPing = now
        peer.lastAnswer = now
        becameUp(peer)
        tellMachines(to: peer)
    }

    /// Closes a connection that is not wanted; what was sent on it before still arrives.
    func close(_ link: Link) {
        link.role = .refused
        link.closesAfterFlush = true
        markDirty(link)
    }

    private func drop(_ link: Link, of peer: Peer, reason: String) {
        close(link)
        peer.link = nil
        for link in peer.standby { close(link) }
        peer.standby.removeAll()
        wentDown(peer, reason: reason)
    }

    /// A connection of a known node is gone.
    func lost(_ link: Link, of peer: Peer, reason: String) {
        peer.standby.removeAll { $0 === link }
        guard peer.link === link else { return }
        peer.link = nil
        peer.nextDial = min(peer.nextDial, now)
        wentDown(peer, reason: reason)
        if !peer.standby.isEmpty { establish(peer.standby.removeFirst(), of: peer) }
    }

    func dialEnded(_ peer: Peer, failed: Bool) {
        guard peer.isDialling else { return }
        peer.dial = nil
        guard failed else { return }
        peer.dialFailures += 1
        let shortest = configuration.redialDelay.lowerBound.wholeNanoseconds
        let longest = configuration.redialDelay.upperBound.wholeNanoseconds
        let ceiling = min(longest, shortest << UInt64(min(peer.dialFailures, 16)))
        peer.nextDial = Instant(
            nanoseconds: now.nanoseconds + UInt64.random(in: shortest...max(shortest, ceiling), using: &random))
    }

    /// Dials whoever should be connected and is not.
    func dialWhoIsMissing() {
        for peer in peers where peer.link == nil && !peer.isDialling && peer.nextDial <= now && !isStopping {
            dialNumber += 1
            peer.dial = dialNumber
            let address = peer.dialFailures % 2 == 0 ? peer.address : peer.seedAddress ?? peer.address
            output.dials.append(Dial(number: dialNumber, name: peer.name, address: address))
        }
    }

    // MARK: Life

    private func becameUp(_ peer: Peer) {
        guard !peer.isUp else { return }
        peer.isUp = true
        peer.listed.removeAll()
        peer.digestMismatches = 0
        output.events.append(.peerUp(peer.name, peer.address))
        nodeChanged(peer.name, isUp: true)
        takeAllBack(on: peer)
        tellLost(to: peer)
        sendLeaderships(to: peer, wantsAnswer: false)
        for server in peer.concernedServers { tell(server, of: peer, isUp: true) }
    }

    private func wentDown(_ peer: Peer, reason: String) {
        guard peer.isUp else { return }
        peer.isUp = false
        peer.listed.removeAll()
        output.events.append(.peerDown(peer.name, reason: reason))
        nodeChanged(peer.name, isUp: false)
        for server in peer.concernedServers { tell(server, of: peer, isUp: false) }
    }

    private func tell(_ server: HostedServer, of peer: Peer, isUp: Bool) {
        for member in server.members where member.peer === peer {
            step(server, isUp ? .peerUp(member.uid) : .peerDown(member.uid))
        }
    }

    /// Any whole frame is a sign of life.
    func heard(from peer: Peer, by type: FrameType) {
        peer.detector.heard(at: now, isRegular: type == .pong)
        switch type {
        // Behind a lot of entries a ping may wait for long; their acknowledgements are answers as well.
        case .pong, .appendReply, .voteReply, .readRoundReply, .readIndexReply: peer.lastAnswer = now
        default: break
        }
        if !peer.isUp, peer.link != nil, !peer.isLeaving, answers(peer) { becameUp(peer) }
    }

    /// Whether another node hears this one, as far as its answers to pings show. A link that works in one direction only
    /// is worth nothing: a leader must not stay one because of it. Pings may wait behind a lot of other things, so it has
    /// the longest time that is put up with.
    private func answers(_ peer: Peer) -> Bool { now <= peer.lastAnswer + configuration.suspicionCeiling }

    /// Sends pings that are due and suspects whoever has been silent for too long.
    func watchPeers(wasStopped: Bool) {
        for peer in peers {
            guard let link = peer.link else { continue }
            if wasStopped {
                peer.detector.forgive(at: now)
                peer.lastAnswer = now
            }
            suspect(peer)
            if !peer.isUp, peer.detector.isHopeless(at: now) {
                drop(link, of: peer, reason: "silent")
                peer.nextDial = min(peer.nextDial, now)
                continue
            }
            guard peer.nextPing <= now else { continue }
            peer.nextPing = now + configuration.pingInterval
            peer.pingSequence += 1
            write(.ping(ping(for: peer, sequence: peer.pingSequence)), to: link)
        }
    }

    private func suspect(_ peer: Peer) {
        guard peer.isUp else { return }
        let isSilent = peer.detector.suspects(at: now)
        guard isSilent || !answers(peer) else { return }
        peer.counters.suspicions += 1
        let limit = peer.detector.limit / 1_000_000
        wentDown(peer, reason: isSilent ? "silent for more than \(limit) ms" : "it does not answer")
    }

    func ping(for peer: Peer, sequence: UInt64) -> PeerMessage.Ping {
        PeerMessage.Ping(sequence: sequence, digest: peer.digest, count: UInt32(peer.sharedServers.count))
    }

    /// Sends a message to a node that is connected; drops it otherwise.
    func send(_ message: PeerMessage, correlation: UInt64 = 0, to peer: Peer) {
        guard let link = peer.link else { return }
        write(message, correlation: correlation, to: link)
    }

    private func write(_ message: PeerMessage, correlation: UInt64 = 0, to link: Link) {
        link.write { $0.writeFrame(message.frameType, correlation: correlation) { message.encodeBody(into: &$0) } }
        markDirty(link)
    }

    /// What another node says of itself or of its servers.
    func receive(_ message: PeerMessage, correlation: UInt64, from peer: Peer, on link: Link) {
        switch message {
        case .ping(let ping):
            write(.pong(self.ping(for: peer, sequence: ping.sequence)), to: link)
            compare(ping, with: peer)
        case .pong(let ping): compare(ping, with: peer)
        case .leaderships(let page): receive(page, from: peer)
        case .serverStopped(let servers):
            for uid in servers { for server in peer.concernedServers { step(server, .peerDown(uid)) } }
        case .goodbye:
            peer.isLeaving = true
            wentDown(peer, reason: "it is stopping")
        case .startServer(let request): start(request, for: peer, correlation: correlation)
        case .startServerReply(let reply): startReplied(reply, from: peer)
        case .deleteServer(let cluster): deleteUnformed(cluster)
        case .unknownServer(let uid, let cluster): isUnknown(uid, of: cluster, on: peer)
        case .clustersDeleted(let clusters): wereDeleted(clusters, on: peer)
        case .machines(let machines): receive(machines, from: peer)
        case .serversLost(let servers): areLost(servers, on: peer)
        case .snapshotRequest(let request): receive(request, from: peer)
        case .snapshotPart(let part): receive(part, from: peer)
        case .entriesRequest(let request): receive(request, from: peer)
        case .entriesReply(let reply): receive(reply, from: peer)
        }
    }
}
