import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The servers of this node: taken up after a restart, made, deleted.
extension Kernel {
    /// Takes up a server that recovery has found.
    func takeUp(_ recovered: RecoveredServer) throws(FlotillaError) {
        let state = RecoveredState(
            hardState: recovered.hardState, logTerms: logTerms(of: recovered),
            configurations: recovered.configurations.map { ($0.index, $0.configuration) },
            commitFloor: min(recovered.lastApplied, recovered.table.lastIndex))
        if let inconsistency = state.inconsistency {
            throw FlotillaError(
                .internalError,
                "the log of \(recovered.creation.id) (\(recovered.creation.uid)) contradicts itself: \(inconsistency)")
        }
        let machine: HostedMachine
        var failure: MachineFailure?
        do { machine = try makeMachine(for: recovered.creation) } catch {
            // Only this server is concerned: it keeps what the others tell it, and applies nothing.
            machine = AbsentMachine()
            failure = MachineFailure(index: recovered.lastApplied.next, message: error.message)
        }
        let server = host(
            recovered.creation, machine: machine, state: state, table: recovered.table,
            replayedThrough: recovered.lastApplied)
        if let failure { halt(server, failure) }
        server.lastEntryTime = timeOfLastEntry(in: server.table)
        memoryBytes += server.table.byteCount
        markDirty(server)
    }

    private func logTerms(of recovered: RecoveredServer) -> LogTerms {
        let runs = recovered.termRuns
        var terms = LogTerms()
        for (position, run) in runs.enumerated() {
            let end = position + 1 < runs.count ? runs[position + 1].first : recovered.table.lastIndex.next
            terms.append(count: end - run.first, term: run.term)
        }
        return terms
    }

    private func timeOfLastEntry(in table: MemoryTable) -> UInt64 {
        guard table.lastIndex >= table.firstIndex, table.lastIndex > .zero,
            let bytes = table.slices(from: table.lastIndex, through: table.lastIndex).first
        else { return 0 }
        return bytes.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.flatMap { EntryHeader.loadTrusted(from: $0) }?.time ?? 0
        }
    }

    private func makeMachine(for creation: ServerCreation) throws(FlotillaError) -> HostedMachine {
        try registry.makeMachine(
            named: creation.machine,
            configuration: MachineConfiguration(
                cluster: creation.clusterName, settings: creation.machineConfiguration))
    }

    /// Puts a server into the kernel's tables.
    private func host(
        _ creation: ServerCreation, machine: HostedMachine, state: RecoveredState, table: MemoryTable,
        replayedThrough: LogIndex
    ) -> HostedServer {
        let slot = freeSlots.popLast() ?? servers.count
        if slot == servers.count { servers.append(nil) }
        let core = RaftServer(
            uid: creation.uid, settings: configuration.raft, recovered: state, seed: random.next(), now: now)
        let server = HostedServer(
            slot: slot, creation: creation, core: core, table: table, machine: machine,
            replayedThrough: replayedThrough)
        servers[slot] = server
        serversByUID[creation.uid] = server
        serversByCluster[creation.clusterID] = server
        serversByName[creation.clusterName] = server
        refreshMembers(of: server)
        arm(server)
        return server
    }

    /// Makes the server of this node in a new cluster. Nothing of it may be said before its record is durable, so the
    /// server is made known to the others only then.
    ///
    /// - Throws: `FlotillaError` when the name is taken or the machine unknown.
    func create(_ request: PeerMessage.StartServer) throws(FlotillaError) -> HostedServer {
        guard let member = request.initial.members.first(where: { $0.nodeID == identity.id }) else {
            throw FlotillaError(
                .unknownMember, "cluster \(request.name) has no member with the identity of node \(identity.name)")
        }
        if let existing = serversByName[request.name], existing.creation.clusterID != request.cluster {
            throw FlotillaError(.clusterExists, "node \(identity.name) already has a cluster named \(request.name)")
        }
        if let existing = serversByCluster[request.cluster] {
            guard existing.creation.initial == request.initial else {
                throw FlotillaError(.clusterExists, "cluster \(request.cluster) was started with other members")
            }
            return existing
        }
        if deletedClusters.contains(request.cluster) {
            throw FlotillaError(.deleted, "cluster \(request.cluster) was deleted on node \(identity.name)")
        }
        guard member.uid != .none, serversByUID[member.uid] == nil, member.id.node == identity.name,
            request.initial.members.filter({ $0.nodeID == identity.id }).count == 1
        else {
            throw FlotillaError(
                .invalidArgument, "the configuration names node \(identity.name) in a way that can't be")
        }
        let creation = ServerCreation(
            uid: member.uid, clusterID: request.cluster, clusterName: request.name, id: member.id,
            machine: request.machine, machineConfiguration: request.machineConfiguration, initial: request.initial,
            createdAt: wallClock)
        let machine = try makeMachine(for: creation)
        let state = RecoveredState(
            hardState: .initial, logTerms: LogTerms(), configurations: [(.zero, request.initial)],
            commitFloor: .zero)
        let server = host(
            creation, machine: machine, state: state, table: MemoryTable(), replayedThrough: .zero)
        output.records.append(.serverCreated(creation))
        durableStarts[creation.uid] = []
        output.events.append(.serverStarted(creation.id, creation.clusterID))
        return server
    }

    /// What another member needs to start its own server.
    func startRequest(for creation: ServerCreation) -> PeerMessage.StartServer {
        PeerMessage.StartServer(
            cluster: creation.clusterID, name: creation.clusterName, machine: creation.machine,
            machineConfiguration: creation.machineConfiguration, initial: creation.initial)
    }

    /// Deletes the server of a cluster that was never formed. A server that has taken a command stays.
    func deleteUnformed(_ cluster: ClusterID) {
        guard let server = serversByCluster[cluster], server.core.commitIndex == .zero, !hasCommands(server) else {
            return
        }
        deletedClusters.insert(cluster)
        server.isDeleted = true
        removeShares(of: server)
        servers[server.slot] = nil
        freeSlots.append(server.slot)
        serversByUID[server.uid] = nil
        serversByCluster[cluster] = nil
        if serversByName[server.creation.clusterName] === server { serversByName[server.creation.clusterName] = nil }
        memoryBytes -= server.table.byteCount
        output.records.append(
            .serverDeleted(server.uid, cluster, index: server.core.lastIndex, term: server.core.term))
        output.events.append(.serverDeleted(server.creation.id, cluster))
        durableStarts[server.uid] = nil
        refuseWaiters(of: server)
    }

    /// Nobody waits for a server that is gone.
    private func refuseWaiters(of server: HostedServer) {
        let error = FlotillaError(.unknownCluster, "cluster \(server.creation.clusterName) was deleted")
        for ticket in server.locateWaiters { respond(.error(error), to: ticket) }
        if let ticket = server.transferWaiter { respond(.error(error), to: ticket) }
        for ticket in server.reads.takeLate(Instant(nanoseconds: .max)) { refuse(ticket, of: server, error) }
        reject(server.pending.takeAll(from: .zero), by: server, error)
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

    // MARK: Changes of role

    func roleChanged(_ role: Role, of server: HostedServer) {
        switch role {
        case .preCandidate: server.counters.preVotes += 1
        case .candidate: server.counters.elections += 1
        case .follower, .leader: break
        }
        updateShare(of: server)
    }

    func leaderChanged(_ leader: ServerUID?, term: Term, of server: HostedServer) {
        updateShare(of: server)
        guard let leader else { return }
        server.counters.leaderChanges += 1
        output.events.append(
            .leaderChanged(server.creation.id, leader: server.name(of: leader), term: term))
        let waiters = server.locateWaiters
        server.locateWaiters = []
        for ticket in waiters { answerLocate(ticket, about: server) }
        startHasLeader(server)
    }

    func transferEnded(_ outcome: TransferOutcome, for server: HostedServer) {
        guard let ticket = server.transferWaiter else { return }
        server.transferWaiter = nil
        respond(response(to: outcome, for: server), to: ticket)
    }
}
