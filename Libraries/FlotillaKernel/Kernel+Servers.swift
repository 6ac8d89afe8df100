import DequeModule
import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The servers of this node: taken up after a restart, and what is noted when their roles change.
extension Kernel {
    /// Takes up a server that recovery has found.
    func takeUp(_ recovered: RecoveredServer) {
        let state = RecoveredState(
            hardState: recovered.hardState, logTerms: logTerms(of: recovered),
            configurations: recovered.configurations.map { ($0.index, $0.configuration) },
            commitFloor: max(recovered.snapshot.index, min(recovered.lastApplied, recovered.table.lastIndex)),
            endIndex: endOfCluster(in: recovered.table))
        if let inconsistency = state.inconsistency {
            return takeLost(
                LostServer(uid: recovered.creation.uid, creation: recovered.creation, damage: nil),
                because: "its log contradicts itself: \(inconsistency)")
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
            storage: ServerStorage(
                uid: recovered.creation.uid, cluster: recovered.creation.clusterID, files: recovered.files,
                flushed: recovered.table.firstIndex.previous),
            replayedThrough: max(recovered.lastApplied, recovered.snapshot.index))
        if let failure {
            halt(server, failure)
            bar(server)
        }
        server.lastEntryTime = max(timeOfLastEntry(in: server.table), recovered.baseTime)
        memoryBytes += server.table.byteCount
        takeUpSnapshot(recovered, for: server)
        markDirty(server)
    }

    /// Goes on from the newest snapshot, and says in the log what it stands for unless that was said before.
    private func takeUpSnapshot(_ recovered: RecoveredServer, for server: HostedServer) {
        let name = recovered.snapshot
        guard name.index > .zero else { return }
        server.applied = name.index
        server.appliedTerm = name.term
        server.machineVersion = recovered.files?.metadata?.machineVersion ?? 0
        server.storage.wantsCompaction = true
        if recovered.snapshotFloor?.index != name.index {
            if recovered.table.lastIndex == name.index {
                output.records.append(.truncated(server.uid, from: name.index.next))
            }
            output.records.append(.snapshotFloor(server.uid, name.index, name.term))
        }
        guard server.failure == nil, let file = server.storage.floor else { return }
        server.storage.isMachineMissing = true
        restoreMachine(of: server, from: file, nil)
    }

    /// Has flushed what recovery took into memory from log files that are full.
    func flushRecovered() {
        for file in closedFiles {
            for share in file.shares {
                guard let server = serversByUID[share.server], server.table.byteCount >= configuration.flushBytes
                else { continue }
                startFlush(of: server, through: share.last)
            }
        }
        relieve()
        releaseLogFiles()
    }

    private func logTerms(of recovered: RecoveredServer) -> LogTerms {
        let runs = recovered.termRuns
        let base = recovered.snapshot
        var terms = LogTerms(baseIndex: base.index, baseTerm: base.term)
        for (position, run) in runs.enumerated() {
            let end = position + 1 < runs.count ? runs[position + 1].first : recovered.table.lastIndex.next
            let first = max(run.first, base.index.next)
            if first < end { terms.append(count: end - first, term: run.term) }
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

    func makeMachine(for creation: ServerCreation) throws(FlotillaError) -> HostedMachine {
        try registry.makeMachine(
            named: creation.machine,
            configuration: MachineConfiguration(
                cluster: creation.clusterName, settings: creation.machineConfiguration))
    }

    /// Puts a server into the kernel's tables.
    func host(
        _ creation: ServerCreation, machine: HostedMachine, state: RecoveredState, table: MemoryTable,
        storage: ServerStorage, replayedThrough: LogIndex
    ) -> HostedServer {
        let slot = freeSlots.popLast() ?? servers.count
        if slot == servers.count { servers.append(nil) }
        let core = RaftServer(
            uid: creation.uid, settings: configuration.raft, recovered: state, seed: random.next(), now: now)
        let server = HostedServer(
            slot: slot, creation: creation, core: core, table: table, machine: machine, storage: storage,
            replayedThrough: replayedThrough)
        servers[slot] = server
        serversByUID[creation.uid] = server
        serversByCluster[creation.clusterID] = server
        serversByName[creation.clusterName] = server
        refreshMembers(of: server)
        enter(.recovered, server)
        enter(.follower, server)
        if disk.isStalled { step(server, .unfitToLead(true)) }
        arm(server)
        return server
    }

    // MARK: Changes of role

    func roleChanged(_ role: Role, of server: HostedServer) {
        switch role {
        case .preCandidate: server.counters.preVotes += 1
        case .candidate: server.counters.elections += 1
        case .leader, .follower: break
        }
        if server.watch.leads != (role == .leader) {
            if server.watch.leads { releaseSessions(of: server) }
            server.watch.changeLead(role == .leader)
            server.sessions.beginTerm()
        }
        enter(MachineRole(role), server)
        updateShare(of: server)
    }

    func leaderChanged(_ leader: ServerUID?, term: Term, of server: HostedServer) {
        updateShare(of: server)
        refreshLeader(of: server)
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
        noteEndOfHandOver(outcome, for: server)
        guard let ticket = server.transferWaiter else { return }
        server.transferWaiter = nil
        respond(response(to: outcome, for: server), to: ticket)
    }
}
