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
        case (.lookUp(let reads), .lookedUp(let entries)): lookedUp(entries, for: reads, of: server)
        case (.snapshot, .snapshot(let file)): written(file, for: server)
        case (.restore(let restorer, let file, let metadata), .restored):
            try restored(restorer, from: file, metadata, for: server)
        case (.compact, .compacted(let removed, let written)):
            compacted(removed: removed, written: written, for: server)
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
            if isOutOfSpace { retryFlushesAt = now + .seconds(1) } else { giveUp(error) }
        case .snapshot:
            server.storage.isWritingSnapshot = false
            server.storage.bytesSinceSnapshot = 0
            if error.code == .machine {
                server.storage.canSnapshot = false
                output.events.append(.snapshotFailed(server.creation.id, error.message))
            } else if !isOutOfSpace {
                giveUp(error)
            }
        case .compact:
            server.storage.isWritingSegments = false
            server.storage.compactingBy = nil
            // What is damaged stays as it is; whoever reads it is told.
            if error.code != .corrupt, error.code != .gone, !isOutOfSpace { giveUp(error) }
        case .fetch:
            server.storage.isFetching = false
            unreadable(error, for: server)
        case .replay:
            server.storage.isReplaying = false
            unreadable(error, for: server)
        case .lookUp(let reads): couldNotLookUp(reads, error, of: server)
        case .restore(_, let file, _):
            server.storage.isRestoring = false
            unreadable(StorageError(error.code, "snapshot \(file.path): \(error.message)"), for: server)
        case .readPart(let request, let node): send(.gone, answering: request, to: node)
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

    /// The disk can't be relied upon any more: the node must end.
    private func giveUp(_ error: StorageError) {
        if output.failure == nil { output.failure = error }
    }

    /// Something of a server's own files can't be read: it goes no further, and says so.
    private func unreadable(_ error: StorageError, for server: HostedServer) {
        guard server.failure == nil else { return }
        halt(server, MachineFailure(index: server.applied.next, message: "its files can't be read: \(error)"))
        if server.core.role == .leader { stepAside(server) }
    }

    /// Has another member lead in place of a server that can't serve.
    func stepAside(_ server: HostedServer) {
        let successor = server.core.peerOverview.filter { $0.isVoter && $0.isUp }.max { $0.match < $1.match }
        guard let successor else { return }
        step(server, .transferLeadership(to: successor.uid, giveUpAt: now + .seconds(2)))
    }
}
