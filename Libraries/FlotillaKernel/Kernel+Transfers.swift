import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Snapshots on their way between nodes. Whoever receives one asks for it part by part, so nothing comes faster than it
/// is written, and what was interrupted goes on where it was.
extension Kernel {
    /// How long to wait for a part before it is asked for again, and without any before all is given up.
    private static let partPatience = Duration.seconds(1)
    private static let transferPatience = Duration.seconds(30)
    /// How long a member that was offered a snapshot may ask for nothing.
    private static let offerPatience = Duration.seconds(3)

    // MARK: Sending

    func offerSnapshot(of server: HostedServer, to uid: ServerUID) {
        // One that is under way is better than a newer one that would begin anew.
        let sent = server.storage.outgoing[uid]?.file.flatMap { file in
            file.index >= server.core.logTerms.baseIndex ? file : nil
        }
        server.storage.outgoing[uid] = OutgoingTransfer(at: now, file: sent)
        guard let file = sent ?? server.storage.floor, file.index >= server.core.logTerms.baseIndex else { return }
        // The entries that it needs are read from segments.
        guard file.liveCount == 0 || server.storage.flushed >= file.index else {
            return startFlush(of: server, through: file.index)
        }
        server.storage.outgoing[uid]?.file = file
        let offer = InstallSnapshot(term: server.core.term, index: file.index, indexTerm: file.term)
        send(.installSnapshot(offer), from: server, to: uid)
    }

    /// Makes the offers that waited for a flush.
    func offerWhatIsFlushed(of server: HostedServer) {
        for uid in server.storage.outgoing.keys.sorted() { step(server, .snapshotEnded(uid)) }
    }

    func receive(_ request: SnapshotRequest, from peer: Peer) {
        guard peer.isUp, let node = peer.id else { return }
        guard let server = serversByUID[request.address.target], server.creation.clusterID == request.address.cluster
        else { return send(.unknownServer(request.address.target, request.address.cluster), to: peer) }
        let file = server.storage.snapshots.snapshots.first {
            $0.index == request.snapshot.index && $0.term == request.snapshot.term
        }
        guard let file else { return send(.gone, answering: request, to: node) }
        server.storage.outgoing[request.address.sender] = OutgoingTransfer(at: now, file: file)
        start(
            .readPart(file, server.storage.segments, request.position), of: server.uid, .readPart(request, node))
    }

    func send(_ content: SnapshotPart.Content, answering request: SnapshotRequest, to node: NodeID) {
        guard let peer = peersByID[node], peer.isUp else { return }
        let part = SnapshotPart(
            address: request.address.reversed, snapshot: request.snapshot, position: request.position,
            content: content)
        send(.snapshotPart(part), to: peer)
    }

    // MARK: Receiving

    func wantSnapshot(_ index: LogIndex, term: Term, of server: HostedServer, from sender: ServerUID) {
        let name = SnapshotName(index: index, term: term)
        if let incoming = server.storage.incoming {
            if incoming.name == name { return continueTransfer(of: server, from: sender) }
            guard name.index > incoming.name.index, !incoming.isWhole else { return }
        } else {
            // The others are offered again, and have their turn when one of these is there.
            guard hostedServers.count(where: { $0.storage.incoming != nil }) < configuration.incomingSnapshots else {
                return
            }
        }
        server.storage.incoming = IncomingTransfer(
            name: name, sender: sender, position: .file(offset: 0), askedAt: now, progressAt: now)
        askForPart(of: server)
        enter(.receivingSnapshot, server)
    }

    private func continueTransfer(of server: HostedServer, from sender: ServerUID) {
        guard let incoming = server.storage.incoming, incoming.sender != sender, !incoming.isWhole else { return }
        server.storage.incoming?.sender = sender
        if incoming.isWriting {
            server.storage.incoming?.beginsAnew = true
        } else {
            server.storage.incoming?.position = .file(offset: 0)
            askForPart(of: server)
        }
    }

    private func askForPart(of server: HostedServer) {
        guard let incoming = server.storage.incoming, !incoming.isWriting, !incoming.isWhole,
            let peer = server.members.first(where: { $0.uid == incoming.sender })?.peer
                ?? server.strangers[incoming.sender]
        else { return }
        server.storage.incoming?.askedAt = now
        let address = ConsensusAddress(
            cluster: server.creation.clusterID, sender: server.uid, target: incoming.sender)
        send(
            .snapshotRequest(
                SnapshotRequest(address: address, snapshot: incoming.name, position: incoming.position)), to: peer)
    }

    func receive(_ part: SnapshotPart, from peer: Peer) {
        guard let server = serversByUID[part.address.target], server.creation.clusterID == part.address.cluster,
            let incoming = server.storage.incoming, incoming.name == part.snapshot,
            incoming.position == part.position, !incoming.isWriting, !incoming.isWhole
        else { return }
        if case .gone = part.content {
            return abandonTransfer(of: server)
        }
        server.storage.incoming?.isWriting = true
        server.storage.incoming?.progressAt = now
        let order = PartOrder(
            cluster: server.creation.clusterID, snapshot: part.snapshot, position: part.position,
            content: part.content, number: takeNumbers(of: server), salt: random.next())
        start(.writePart(order), of: server.uid, .writePart(part.snapshot))
    }

    func wrotePart(of name: SnapshotName, next: SnapshotPosition?, for server: HostedServer) {
        guard server.storage.incoming?.name == name else { return }
        server.storage.incoming?.isWriting = false
        let beginsAnew = server.storage.incoming?.beginsAnew ?? false
        server.storage.incoming?.beginsAnew = false
        if let next = beginsAnew ? .file(offset: 0) : next {
            server.storage.incoming?.position = next
            askForPart(of: server)
        } else {
            server.storage.incoming?.isWhole = true
            installIfWhole(server)
        }
    }

    private func abandonTransfer(of server: HostedServer) {
        server.storage.incoming = nil
        start(.abandon, of: server.uid, .chore)
        flushWhatWaits(of: server)
    }

    /// Gives a snapshot that has come whole its name, as soon as nothing else is done with the server's files, and the
    /// log on disk knows of its term: no entry may be newer than that.
    func installIfWhole(_ server: HostedServer) {
        guard let incoming = server.storage.incoming, incoming.isWhole, !server.storage.isWritingSegments,
            !server.storage.isWritingSnapshot, !server.storage.isRestoring,
            server.core.durableTerm >= incoming.name.term
        else { return }
        guard incoming.name.index > server.core.commitIndex else {
            return abandonTransfer(of: server)
        }
        server.storage.isWritingSegments = true
        server.storage.isWritingSnapshot = true
        server.storage.truncatedFrom = nil
        start(.commit(incoming.name), of: server.uid, .commit(incoming.name))
    }

    /// The snapshot and all that it needs is durable: the machine is made of it. Until that is done and the log makes way,
    /// nothing of the old log may be written into segments: they would be newer than those that have just come, and hide
    /// them.
    func committed(
        _ name: SnapshotName, _ file: SnapshotFile, _ metadata: SnapshotMetadata, _ segments: [Segment],
        for server: HostedServer
    ) {
        server.storage.incoming = nil
        server.storage.snapshots.insert(file)
        for segment in segments { _ = server.storage.segments.add(segment) }
        restoreMachine(of: server, from: file, metadata)
    }

    /// Goes on from an installed snapshot.
    func install(
        _ machine: HostedMachine, _ file: SnapshotFile, _ metadata: SnapshotMetadata, for server: HostedServer
    ) {
        server.storage.isWritingSnapshot = false
        server.storage.flushed = max(server.storage.flushed, file.index)
        if file.index > server.applied {
            let old = server.machine
            server.machine = machine
            server.applied = file.index
            server.appliedTerm = file.term
            server.machineVersion = metadata.machineVersion
            tellInstalled(server, replacing: old)
            server.lastEntryTime = max(server.lastEntryTime, metadata.time)
            startCountingBytes(of: server)
            server.storage.replay = []
        }
        server.counters.snapshotsInstalled += 1
        dropWaiters(of: server, through: file.index)
        step(
            server,
            .snapshotInstalled(
                index: file.index, term: file.term,
                configuration: (metadata.configurationIndex, metadata.configuration)))
        refreshMembers(of: server)
        output.records.append(.snapshotFloor(server.uid, file.index, file.term))
        letGo(of: server)
        server.storage.isWritingSegments = false
        repairIfWanted(server)
        flushWhatWaits(of: server)
    }

    /// Who waited for an entry that the snapshot covers will not hear what it gave.
    private func dropWaiters(of server: HostedServer, through index: LogIndex) {
        let unknown = FlotillaError(
            .outcomeUnknown, "\(server.creation.id) was brought up by a snapshot: the command's outcome is not known")
        reject(server.pending.takeAll(through: index), by: server, unknown)
    }

    /// The whole log makes way for a snapshot, which was written before.
    func resetLog(of server: HostedServer, after index: LogIndex) {
        seal(server)
        displace(server.pending.takePlaces(from: index.next), of: server)
        memoryBytes -= server.table.byteCount
        server.table.reset(after: index)
        // Nothing of it is to be seen again, before the snapshot's end or behind it.
        server.storage.segments.truncate(from: LogIndex(1))
        server.storage.flushed = index
        server.storage.truncatedFrom = min(server.storage.truncatedFrom ?? index.next, index.next)
        server.storage.fetched = []
        output.records.append(.truncated(server.uid, from: index.next))
        deletionIsUndone(of: server)
        refreshMembers(of: server)
    }

    // MARK: Patience

    /// Asks again for what has not come, and gives up what comes to nothing.
    func watchTransfers() {
        for case let server? in servers {
            installIfWhole(server)
            if let incoming = server.storage.incoming, !incoming.isWriting, !incoming.isWhole {
                if incoming.progressAt + Self.transferPatience <= now {
                    abandonTransfer(of: server)
                } else if incoming.askedAt + Self.partPatience <= now {
                    askForPart(of: server)
                }
            }
            guard !server.storage.outgoing.isEmpty else {
                // Not in the turn in which the last was given up, for it may be offered one again in that.
                if server.storage.hasSent { letGoOfWhatWasSent(by: server) }
                continue
            }
            server.storage.hasSent = true
            for uid in server.storage.outgoing.keys.sorted() {
                guard let last = server.storage.outgoing[uid]?.at, last + Self.offerPatience <= now else { continue }
                server.storage.outgoing[uid] = nil
                step(server, .snapshotEnded(uid))
            }
        }
    }
}
