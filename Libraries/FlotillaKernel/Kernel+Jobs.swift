import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire

/// Background jobs on the files of servers.
extension Kernel {
    /// Has a job done.
    func start(_ work: StorageJob.Work, of uid: ServerUID, _ pending: PendingJob) {
        jobNumber += 1
        jobs[jobNumber] = pending
        output.jobs.append(StorageJob(number: jobNumber, server: uid, work: work))
    }

    /// Tells the kernel what became of a job that `output.jobs` asked for.
    package func jobEnded(_ outcome: StorageOutcome) {
        guard let pending = jobs.removeValue(forKey: outcome.number) else { return }
        guard let server = serversByUID[outcome.server] else { return }
        do throws(StorageError) {
            try take(try outcome.result.get(), pending, for: server)
        } catch {
            failed(pending, error, for: server)
        }
        markDirty(server)
    }

    private func take(
        _ value: StorageOutcome.Value, _ pending: PendingJob, for server: HostedServer
    ) throws(StorageError) {
        switch (pending, value) {
        case (.flush(let through), .flushed(let segments)): flushed(segments, through: through, for: server)
        case (.fetch, .read(let regions)): fetched(regions, for: server)
        case (.replay, .read(let regions)):
            server.storage.isReplaying = false
            server.storage.replay = regions
            server.counters.entriesFetched += UInt64(regions.reduce(0) { $0 + $1.count })
        case (.lookUp(let reads, let wanted), .lookedUp(let entries)):
            lookedUp(entries, of: wanted, for: reads, of: server)
        case (.snapshot, .snapshot(let file)): written(file, for: server)
        case (.restore(let restorer, let file, let metadata), .restored):
            try restored(restorer, from: file, metadata, for: server)
        case (.compact, .compacted(let outcome)): compacted(outcome, for: server)
        case (.repair, .examined(let missing)): examined(missing, for: server)
        case (.repair, .repaired(let segment)): repaired(segment, for: server)
        case (.lend(let request, let node), .lookedUp(let entries)): lend(entries, answering: request, to: node)
        case (.removeSegments, .done): compactionEnded(of: server)
        case (.readPart(let request, let node), .part(let content)): send(content, answering: request, to: node)
        case (.writePart(let name), .progress(let next)): wrotePart(of: name, next: next, for: server)
        case (.commit(let name), .committed(let file, let metadata, let segments)):
            committed(name, file, metadata, segments, for: server)
        default: break
        }
    }

    /// A job has failed. Without room it is begun again when there is some; a disk that fails otherwise ends the node,
    /// as it does for the write-ahead log; a file that can't be read concerns its server only.
    private func failed(_ pending: PendingJob, _ error: StorageError, for server: HostedServer) {
        let isOutOfSpace = error.cause?.isOutOfSpace ?? false
        switch pending {
        case .flush:
            server.storage.isWritingSegments = false
            if isOutOfSpace { retryWritesAt = now + .seconds(1) } else { giveUp(error) }
            installIfWhole(server)
        case .snapshot:
            server.storage.isWritingSnapshot = false
            if error.code == .machine {
                server.storage.canSnapshot = false
                output.events.append(.snapshotFailed(server.creation.id, error.message))
                refuseSnapshots(of: server)
            } else if isOutOfSpace {
                server.storage.bytesSinceSnapshot = configuration.snapshotBytes
                server.storage.waitsForRoom = true
                retryWritesAt = now + .seconds(1)
            } else {
                giveUp(error)
            }
            installIfWhole(server)
        case .compact: compacted(CompactionOutcome(failure: error), for: server)
        case .repair: couldNotRepair(error, for: server)
        case .lend(let request, let node): lend([], answering: request, to: node)
        case .removeSegments:
            compactionEnded(of: server)
            if !isOutOfSpace { giveUp(error) }
        case .fetch(let entry):
            server.storage.isFetching = false
            couldNotRead(entry, error, for: server)
        case .replay(let entry):
            server.storage.isReplaying = false
            couldNotRead(entry, error, for: server)
        case .lookUp(let reads, _): couldNotLookUp(reads, error, of: server)
        case .restore(_, let file, let metadata):
            server.storage.isRestoring = false
            couldNotRestore(file, metadata, error, for: server)
        case .readPart(let request, let node):
            _ = repair(server, error)
            send(.gone, answering: request, to: node)
        case .writePart(let name), .commit(let name):
            if case .commit = pending {
                server.storage.isWritingSegments = false
                server.storage.isWritingSnapshot = false
            }
            if server.storage.incoming?.name == name { server.storage.incoming = nil }
            if error.code == .fileSystem, !isOutOfSpace { giveUp(error) }
        case .chore:
            if error.code == .fileSystem, !isOutOfSpace { giveUp(error) }
        }
    }

    // MARK: What can't be read

    /// Entries can't be read. A file system that refuses may be well again some time, and what a compaction has removed
    /// stands elsewhere by now: both are asked for again. What is damaged stays so.
    private func couldNotRead(_ entry: SegmentedEntry, _ error: StorageError, for server: HostedServer) {
        switch error.code {
        case .gone where server.storage.segments.lookUp(entry.index)?.number != entry.segment:
            step(server, .entriesFetched)
        case .fileSystem: readAgainLater(error, for: server)
        case .corrupt, .gone:
            guard let segment = entry.segment, repair(server, segment: segment) else {
                return unreadable(error, for: server)
            }
            readAgainLater(error, for: server)
        default: unreadable(error, for: server)
        }
    }

    private func couldNotRestore(
        _ file: SnapshotFile, _ metadata: SnapshotMetadata?, _ error: StorageError, for server: HostedServer
    ) {
        let told = StorageError(error.code, "snapshot \(file.path): \(error.message)", damages: error.damages)
        guard error.code == .fileSystem else {
            guard error.code == .corrupt, !server.members.isEmpty else { return unreadable(told, for: server) }
            return lose(server, because: told.message)
        }
        server.storage.unreadSnapshot = (file, metadata)
        readAgainLater(told, for: server)
    }

    /// The leader's place is left to somebody who can read.
    private func readAgainLater(_ error: StorageError, for server: HostedServer) {
        let time = now + .seconds(1)
        server.storage.readsAgainAt = time
        server.counters.failedReads += 1
        nextReadAgain = min(nextReadAgain ?? time, time)
        output.events.append(.readFailed(server.creation.id, reason: error.message))
        if server.core.role == .leader { stepAside(server) }
    }

    /// Asks again for what could not be read.
    func readAgain() {
        guard let time = nextReadAgain, time <= now else { return }
        nextReadAgain = nil
        for case let server? in servers {
            guard let time = server.storage.readsAgainAt else { continue }
            guard time <= now else {
                nextReadAgain = min(nextReadAgain ?? time, time)
                continue
            }
            server.storage.readsAgainAt = nil
            if let (file, metadata) = server.storage.unreadSnapshot {
                server.storage.unreadSnapshot = nil
                restoreMachine(of: server, from: file, metadata)
            }
            step(server, .entriesFetched)
        }
    }

    /// The disk can't be relied upon any more: the node must end.
    func giveUp(_ error: StorageError) {
        if output.failure == nil { output.failure = error }
    }

    /// Something of a server's own files can't be read: it goes no further, and says so.
    private func unreadable(_ error: StorageError, for server: HostedServer) {
        guard server.failure == nil else { return }
        halt(server, MachineFailure(index: server.applied.next, message: "its files can't be read: \(error)"))
        if server.core.role == .leader { stepAside(server) }
        bar(server)
    }

    /// Has a server not campaign any more, because something of its node is not as it must be; the others may be whole.
    func bar(_ server: HostedServer) {
        server.isBarred = true
        step(server, .unfitToLead(true))
    }

    /// Has another member lead in place of a server that can't serve.
    func stepAside(_ server: HostedServer) {
        let successor = server.core.peerOverview.filter { $0.isVoter && $0.isUp }.max { $0.match < $1.match }
        guard let successor else { return }
        step(server, .transferLeadership(to: successor.uid, giveUpAt: now + .seconds(2)))
    }
}
