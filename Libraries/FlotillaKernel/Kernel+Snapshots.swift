import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Snapshots of this node's own machines: when they are taken, and what they make needless.
extension Kernel {
    // MARK: Taking

    /// Takes a snapshot when enough was applied since the last, or the machine has released its cursor.
    func considerSnapshot(of server: HostedServer) {
        guard !server.storage.isWritingSnapshot, !server.storage.isRestoring, server.storage.canSnapshot,
            server.failure == nil, !server.storage.waitsForRoom, server.endedAt == nil,
            server.applied != server.core.endIndex
        else { return }
        if server.storage.bytesSinceSnapshot >= configuration.snapshotBytes {
            takeSnapshot(of: server, .snapshot)
        } else if isCursorFarEnough(server) {
            if !promoteCheckpoint(of: server) { takeSnapshot(of: server, .snapshot) }
        } else if !server.snapshotWaiters.isEmpty {
            takeSnapshot(of: server, .snapshot)
        } else if server.storage.wantsCheckpoint {
            takeSnapshot(of: server, .checkpoint)
        }
    }

    /// Somebody wants a snapshot now.
    func takeSnapshot(of server: HostedServer, for ticket: RequestTicket) {
        if let failure = server.failure { return respond(.error(halted(server, failure)), to: ticket) }
        guard server.storage.canSnapshot else { return respond(.error(cannotSnapshot(server)), to: ticket) }
        guard server.applied > server.storage.floor?.index ?? .zero else { return respond(.done, to: ticket) }
        server.snapshotWaiters.append((server.applied, ticket))
        markDirty(server)
    }

    private func cannotSnapshot(_ server: HostedServer) -> FlotillaError {
        FlotillaError(.unsupported, "the machine of \(server.creation.id) can't be written down")
    }

    /// No snapshot of a server will be taken.
    func refuseSnapshots(of server: HostedServer, _ error: FlotillaError? = nil) {
        let waiters = server.snapshotWaiters
        server.snapshotWaiters = []
        for waiter in waiters { respond(.error(error ?? cannotSnapshot(server)), to: waiter.ticket) }
    }

    private func isCursorFarEnough(_ server: HostedServer) -> Bool {
        let last = server.storage.snapshots.newestSnapshot?.index ?? .zero
        return server.storage.cursor >= last + configuration.snapshotInterval
    }

    /// Freezes the machine, which takes no longer for a large state than for a small one, and has it written down.
    ///
    /// Only what is durable here is taken: the snapshot may need entries of the log.
    private func takeSnapshot(of server: HostedServer, _ kind: SnapshotKind) {
        let index = server.applied
        guard index > server.storage.snapshots.newestSnapshot?.index ?? .zero, index <= server.core.durableIndex,
            let configuration = server.core.configuration(at: index)
        else { return }
        guard let frozen = server.machine.freeze() else {
            server.storage.canSnapshot = false
            return refuseSnapshots(of: server)
        }
        let sessions = server.machine.sessions
        server.storage.isWritingSnapshot = true
        server.storage.wantsCheckpoint = false
        if kind == .snapshot { startCountingBytes(of: server) }
        let metadata = SnapshotMetadata(
            cluster: server.creation.clusterID, index: index, term: server.appliedTerm, time: server.lastEntryTime,
            machineVersion: server.machineVersion, machine: server.creation.machine,
            configuration: configuration.configuration, configurationIndex: configuration.index)
        let order = SnapshotOrder(
            metadata: metadata, kind: kind, salt: random.next(), sessions: { sessions.encodedPieces() },
            pieces: frozen.next, live: frozen.liveIndexes)
        start(.snapshot(order), of: server.uid, .snapshot)
    }

    /// A machine has been written down: counts what is applied from here on.
    func startCountingBytes(of server: HostedServer) {
        server.storage.bytesSinceSnapshot = Int(random.next() % UInt64(max(1, configuration.snapshotBytes / 4)))
    }

    /// Makes the newest checkpoint that the cursor has passed a snapshot, which costs no more than a name.
    private func promoteCheckpoint(of server: HostedServer) -> Bool {
        guard let checkpoint = server.storage.snapshots.newestCheckpoint(atOrBelow: server.storage.cursor),
            checkpoint.index > server.storage.snapshots.newestSnapshot?.index ?? .zero
        else { return false }
        server.storage.isWritingSnapshot = true
        start(.promote(checkpoint), of: server.uid, .snapshot)
        return true
    }

    /// A snapshot or checkpoint is durable. The log is cut only once it says itself that there is one.
    func written(_ file: SnapshotFile, for server: HostedServer) {
        server.storage.isWritingSnapshot = false
        server.storage.snapshots.remove(server.storage.snapshots.checkpoints.filter { $0.index == file.index })
        server.storage.snapshots.insert(file)
        server.counters.snapshotsWritten += 1
        if file.kind == .snapshot {
            output.records.append(.snapshotFloor(server.uid, file.index, file.term))
        } else {
            removeObsoleteSnapshots(of: server)
        }
        installIfWhole(server)
    }

    // MARK: What it makes needless

    /// The log on disk says that a snapshot stands for everything through an index.
    func floorIsDurable(_ server: HostedServer, _ index: LogIndex) {
        guard let file = server.storage.snapshots.snapshots.last(where: { $0.index == index }) else { return }
        server.storage.floor = file
        for waiter in server.snapshotWaiters where waiter.index <= index { respond(.done, to: waiter.ticket) }
        server.snapshotWaiters.removeAll { $0.index <= index }
        cutLog(of: server)
        letGo(of: server)
        removeObsoleteSnapshots(of: server)
        server.storage.wantsCompaction = true
        compactIfWanted(server)
        releaseLogFiles()
    }

    /// Has the consensus forget what the snapshot covers, but for a tail: a follower that is just behind should not need
    /// a snapshot.
    private func cutLog(of server: HostedServer) {
        guard let floor = server.storage.floor else { return }
        let tail = UInt64(configuration.logTail)
        guard floor.index > server.core.logTerms.baseIndex else { return }
        // Nor should one that is being sent an older snapshot, which goes on where that ends.
        let sent = server.storage.outgoing.values.compactMap { $0.file?.index }.min() ?? floor.index
        let short = server.storage.segments.start(ofBytes: configuration.logTailBytes, through: floor.index)
        let end = min(max(LogIndex(floor.index.rawValue - min(tail, floor.index.rawValue)), short.previous), sent)
        guard end > server.core.logTerms.baseIndex else { return }
        step(server, .compacted(through: end))
    }

    /// Nobody is sent a snapshot any more: what was kept for that can go.
    func letGoOfWhatWasSent(by server: HostedServer) {
        server.storage.hasSent = false
        cutLog(of: server)
        removeObsoleteSnapshots(of: server)
        server.storage.wantsCompaction = true
        compactIfWanted(server)
    }

    func removeObsoleteSnapshots(of server: HostedServer) {
        let inUse = [server.storage.compactingBy].compactMap { $0 } + server.storage.outgoing.values.compactMap(\.file)
        let obsolete = server.storage.snapshots.obsolete(keeping: inUse)
            .filter {
                file in
                // Until the log says that there is a newer one, it stands for what was cut.
                file != server.storage.floor
                    && (file.kind == .checkpoint || file.index < server.storage.floor?.index ?? .zero)
            }
        guard !obsolete.isEmpty else { return }
        server.storage.snapshots.remove(obsolete)
        start(.removeSnapshots(obsolete), of: server.uid, .chore)
    }

    func compactIfWanted(_ server: HostedServer) {
        guard server.storage.wantsCompaction, !server.storage.isWritingSegments, let floor = server.storage.floor,
            !server.storage.segments.segments.isEmpty
        else { return }
        server.storage.wantsCompaction = false
        server.storage.isWritingSegments = true
        server.storage.truncatedFrom = nil
        server.storage.minorCompactions += 1
        let isMajor = server.storage.minorCompactions >= configuration.minorCompactions
        if isMajor { server.storage.minorCompactions = 0 }
        // A snapshot that is being sent needs its entries until it is there.
        let isHeld = !server.storage.outgoing.isEmpty
        let order = CompactionOrder(
            snapshot: floor, segments: server.storage.segments,
            through: isHeld ? .zero : min(floor.index, server.core.logTerms.baseIndex), isMajor: isMajor && !isHeld,
            salt: random.next())
        server.storage.compactingBy = floor
        // The job numbers what it writes by the set that it was given.
        _ = takeNumbers(of: server)
        start(.compact(order), of: server.uid, .compact)
    }

    /// Goes by the new segments from now on, and has those removed that nobody needs any more. Whoever reads by what was
    /// there before looks again.
    func compacted(_ outcome: CompactionOutcome, for server: HostedServer) {
        for segment in outcome.written { _ = server.storage.segments.add(segment) }
        server.storage.segments.remove(numbers: outcome.needless)
        server.counters.segmentsRemoved += UInt64(outcome.needless.count)
        server.counters.segmentsRewritten += UInt64(outcome.written.count)
        if let failure = outcome.failure { couldNotCompact(failure, for: server) }
        guard !outcome.needless.isEmpty else { return compactionEnded(of: server) }
        start(.removeSegments(outcome.needless), of: server.uid, .removeSegments)
    }

    /// Nothing is lost by it: the old segments stay. What is damaged is told to whoever reads it.
    private func couldNotCompact(_ failure: StorageError, for server: HostedServer) {
        guard let cause = failure.cause else {
            _ = repair(server, failure)
            return
        }
        guard cause.isOutOfSpace || cause.isOfReading else { return giveUp(failure) }
        server.storage.wantsCompaction = true
        retryWritesAt = now + .seconds(1)
    }

    func compactionEnded(of server: HostedServer) {
        server.storage.isWritingSegments = false
        server.storage.compactingBy = nil
        removeObsoleteSnapshots(of: server)
        installIfWhole(server)
        repairIfWanted(server)
        flushWhatWaits(of: server)
    }

    func repairIfWanted(_ server: HostedServer) {
        guard let number = server.storage.wantsRepair else { return }
        server.storage.wantsRepair = nil
        _ = repair(server, segment: number)
    }

    /// Begins the flush that had to wait for something else.
    func flushWhatWaits(of server: HostedServer) {
        if let floor = server.storage.floor, server.storage.outgoing.values.contains(where: { $0.file == nil }) {
            startFlush(of: server, through: floor.index)
        }
        guard server.table.byteCount >= configuration.flushBytes else { return }
        let last = closedFiles.compactMap { file in file.shares.first { $0.server == server.uid }?.last }.max()
        if let last { startFlush(of: server, through: last) }
    }

    // MARK: Restoring

    /// Has the machine made of the newest snapshot.
    func restoreMachine(of server: HostedServer, from file: SnapshotFile, _ metadata: SnapshotMetadata?) {
        let restorer: MachineRestorer
        do throws(FlotillaError) {
            restorer = try registry.restoreMachine(
                named: server.creation.machine,
                configuration: MachineConfiguration(
                    cluster: server.creation.clusterName, settings: server.creation.machineConfiguration))
        } catch {
            return halt(server, MachineFailure(index: server.applied.next, message: error.message))
        }
        server.storage.isRestoring = true
        start(
            .restore(file) { piece in try restorer.take(piece) }, of: server.uid, .restore(restorer, file, metadata))
    }

    func restored(
        _ restorer: MachineRestorer, from file: SnapshotFile, _ metadata: SnapshotMetadata?, for server: HostedServer
    ) throws(StorageError) {
        server.storage.isRestoring = false
        server.storage.isMachineMissing = false
        let machine: HostedMachine
        do throws(WireError) { machine = try restorer.finish() } catch {
            throw StorageError(.machine, "the machine refuses what is in \(file.path): \(error)")
        }
        let version = metadata?.machineVersion ?? server.machineVersion
        guard machine.versions.contains(version) || version == 0 else {
            let next = (metadata?.index ?? server.applied).next
            halt(server, MachineFailure(index: next, needs: version, of: machine.versions))
            return leaveToNewer(server)
        }
        if let metadata {
            install(machine, file, metadata, for: server)
        } else {
            server.machine = machine
        }
    }
}

extension MachineRestorer {
    /// Takes the next piece of a snapshot's file.
    fileprivate func take(_ piece: SnapshotPiece) throws(WireError) {
        switch piece {
        case .live: break
        case .session(let bytes): try restoreSessions(bytes)
        case .state(let bytes): try restore(bytes)
        }
    }
}
