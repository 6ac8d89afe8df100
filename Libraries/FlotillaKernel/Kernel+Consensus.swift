import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Between the consensus of a server and the rest of the node.
extension Kernel {
    /// Tells a server's consensus what happened and does what it says.
    func step(_ server: HostedServer, _ event: Event) {
        var actions = takeScratch()
        server.core.step(event, now: now, actions: &actions)
        perform(&actions, for: server)
        refreshStanding(of: server)
        markDirty(server)
        arm(server)
    }

    /// Carries out actions in their order and gives the memory back.
    func perform(_ actions: inout Actions, for server: HostedServer, received: ReceivedEntries? = nil) {
        for action in actions.list { perform(action, for: server, received: received) }
        returnScratch(&actions)
    }

    private func perform(_ action: Action, for server: HostedServer, received: ReceivedEntries?) {
        switch action {
        case .send(let message, let uid): send(message, from: server, to: uid)
        case .persistHardState(let state): output.records.append(.hardState(server.uid, state))
        case .truncate(let index, _): truncate(server, from: index)
        case .accept(let skip):
            guard let received else { preconditionFailure("entries are accepted that never came") }
            accept(received, skipping: skip, for: server)
        case .appendNoop(let index): appendNoop(at: index, for: server)
        case .appendConfiguration(let index, let configuration):
            appendConfiguration(configuration, at: index, for: server)
        case .sendSnapshot(let uid): offerSnapshot(of: server, to: uid)
        case .fetchEntries(let index): fetchEntries(of: server, from: index)
        case .wantSnapshot(let index, let term, let sender): wantSnapshot(index, term: term, of: server, from: sender)
        case .resetLog(let index, _): resetLog(of: server, after: index)
        case .readReady(let token, let index): readIsReady(token, at: index, for: server)
        case .readLost(let token): readIsLost(token, for: server)
        case .contradicted(let index):
            guard server.failure == nil else { break }
            halt(
                server,
                MachineFailure(
                    index: max(index, server.applied.next),
                    message: "the leader's entry \(index) contradicts a committed one: some member has lost its data"))
        case .roleChanged(let role): roleChanged(role, of: server)
        case .leaderChanged(let leader, let term): leaderChanged(leader, term: term, of: server)
        case .transferEnded(let outcome): transferEnded(outcome, for: server)
        }
    }

    // MARK: The log

    private func truncate(_ server: HostedServer, from index: LogIndex) {
        seal(server)
        server.counters.truncations += 1
        displace(server.pending.takePlaces(from: index), of: server)
        let before = server.table.byteCount
        // Since a restart, entries that are not committed may be in segments only.
        if index >= server.table.firstIndex {
            server.table.truncate(from: index)
        } else {
            server.table.reset(after: index.previous)
        }
        memoryBytes -= before - server.table.byteCount
        server.storage.segments.truncate(from: index)
        server.storage.flushed = min(server.storage.flushed, index.previous)
        server.storage.truncatedFrom = min(server.storage.truncatedFrom ?? index, index)
        server.storage.fetched = []
        output.records.append(.truncated(server.uid, from: index))
        if server.core.endIndex == nil { deletionIsUndone(of: server) }
        refreshMembers(of: server)
    }

    private func appendNoop(at index: LogIndex, for server: HostedServer) {
        var body = ByteBuffer()
        body.writeLittle(versionToRun(server).rawValue)
        append(.noop, body: body, at: index, for: server)
    }

    private func appendConfiguration(
        _ configuration: ClusterConfiguration, at index: LogIndex, for server: HostedServer
    ) {
        var body = ByteBuffer()
        configuration.encode(into: &body)
        append(.configuration, body: body, at: index, for: server)
        refreshMembers(of: server)
    }

    func append(_ kind: EntryKind, body: ByteBuffer, at index: LogIndex, for server: HostedServer) {
        openBatch(of: server, at: index, reserving: EntryHeader.byteCount + body.readableBytes)
        let header = EntryHeader(
            kind: kind, bodyLength: UInt32(body.readableBytes), index: index, term: server.core.term,
            time: entryTime(for: server),
            bodyChecksum: body.withUnsafeReadableBytes { Checksum.crc32c($0) })
        server.open.bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: EntryHeader.byteCount) { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            header.store(to: base)
            return EntryHeader.byteCount
        }
        server.open.bytes.writeImmutableBuffer(body)
        server.open.count += 1
        server.open.lastTerm = server.core.term
    }

    /// The clock for a new entry: the wall clock, but never earlier than in the entry before.
    func entryTime(for server: HostedServer) -> UInt64 {
        server.lastEntryTime = max(server.lastEntryTime, wallClock)
        return server.lastEntryTime
    }

    /// Makes sure that the open batch is there, ends before `index` and has room.
    func openBatch(of server: HostedServer, at index: LogIndex, reserving bytes: Int) {
        if !server.open.isEmpty, server.open.bytes.readableBytes + bytes > Limits.appendBytes { seal(server) }
        if server.open.isEmpty {
            server.open.first = index
            server.open.epoch = server.core.logEpoch
            server.open.bytes = ByteBufferAllocator().buffer(capacity: bytes)
        }
        precondition(
            server.open.first + server.open.count == index,
            "an entry for \(index) comes behind \(server.open.count) from \(server.open.first) on")
    }

    /// Hands the open batch to the table and to the write-ahead log.
    func seal(_ server: HostedServer) {
        guard !server.open.isEmpty else { return }
        let batch = server.open
        server.open = OpenBatch()
        let before = server.table.byteCount
        server.table.append(batch.bytes, first: batch.first, count: batch.count)
        memoryBytes += server.table.byteCount - before
        output.records.append(
            .entries(
                EntriesRecord(
                    uid: server.uid, epoch: batch.epoch, first: batch.first, count: batch.count,
                    lastTerm: batch.lastTerm, bytes: batch.bytes)))
    }

    // MARK: Messages

    func send(_ message: ConsensusMessage, from server: HostedServer, to uid: ServerUID) {
        guard let peer = server.members.first(where: { $0.uid == uid })?.peer ?? server.strangers[uid],
            let link = peer.link
        else { return }
        let address = ConsensusAddress(cluster: server.creation.clusterID, sender: server.uid, target: uid)
        if case .appendEntries(let append) = message, append.count > 0 {
            server.counters.appendsSent += 1
            let slices = LogView(server).slices(from: append.previousIndex.next, through: append.lastIndex)
            let bytes = slices.reduce(0) { $0 + $1.readableBytes }
            link.write { message.encodeFrame(to: address, entryBytes: bytes, into: &$0) }
            link.append(slices)
        } else {
            link.write { message.encodeFrame(to: address, into: &$0) }
        }
        markDirty(link)
    }

    /// A consensus frame has come from another node.
    func receiveConsensus(_ type: FrameType, body: ByteBuffer, from peer: Peer) throws(WireError) {
        guard let (message, address, rest) = try ConsensusMessage.decode(type, body: body) else { return }
        guard let server = serversByUID[address.target], server.creation.clusterID == address.cluster else {
            counters.unknownServerMessages += 1
            if !tellEnds(of: [address.cluster], to: peer) {
                send(.unknownServer(address.target, address.cluster), to: peer)
            }
            return
        }
        server.meet(address.sender, on: peer)
        isThere(address.sender, of: server, on: peer)
        guard case .appendEntries(let append) = message else {
            step(server, .message(message, from: address.sender))
            return
        }
        server.counters.appendsReceived += 1
        let received = try ReceivedEntries(rest, following: append)
        server.counters.entriesReceived += UInt64(append.count)
        var actions = takeScratch()
        server.core.step(
            .appendEntries(
                append, from: address.sender, terms: received.terms, configurations: received.configurations,
                end: received.endIndex),
            now: now, actions: &actions)
        perform(&actions, for: server, received: received)
        if !received.configurations.isEmpty { refreshMembers(of: server) }
        refreshStanding(of: server)
        markDirty(server)
        arm(server)
    }

    private func accept(_ received: ReceivedEntries, skipping skip: Int, for server: HostedServer) {
        guard skip < received.count else { return }
        let bytes = received.bytes(skipping: skip)
        openBatch(of: server, at: received.first + skip, reserving: bytes.readableBytes)
        server.open.bytes.writeImmutableBuffer(bytes)
        server.open.count += received.count - skip
        server.open.lastTerm = received.terms.last?.term ?? server.open.lastTerm
        server.lastEntryTime = max(server.lastEntryTime, received.lastTime)
    }
}

extension HostedServer {
    /// The node that a member, or a sender that is no member here, was last heard from.
    func meet(_ uid: ServerUID, on peer: Peer) {
        guard !members.contains(where: { $0.uid == uid }) else { return }
        // A leader whose configuration this server has not seen yet; bounded, since anybody may claim to be one.
        if strangers.count >= Limits.members { strangers.removeAll() }
        strangers[uid] = peer
    }
}
