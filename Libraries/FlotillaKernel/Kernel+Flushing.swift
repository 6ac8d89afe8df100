import DequeModule
import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The way of entries from full log files into segments, so that the files can go.
///
/// A server with many entries in a file is flushed as soon as the file is full. Small ones wait, since a segment for a
/// few entries costs as much as one for thousands: until they have gathered more, or until too many files wait for
/// them. Then those that have very little are written into the log once more instead.
extension Kernel {
    /// A log file gets no more batches.
    func logFileClosed(_ contents: WALFileContents) {
        closedFiles.append(contents)
        for share in contents.shares {
            guard let server = serversByUID[share.server],
                server.table.byteCount >= configuration.flushBytes
            else { continue }
            startFlush(of: server, through: share.last)
        }
        relieve()
        releaseLogFiles()
    }

    /// Empties the oldest file when too many wait.
    func relieve() {
        guard closedFiles.count > configuration.logFilesBehind, let oldest = closedFiles.first,
            let newest = closedFiles.last?.sequence
        else { return }
        var budget = configuration.carriedBytesPerFile
        for share in oldest.shares where !isSettled(share, in: oldest.sequence) {
            guard let server = serversByUID[share.server] else { continue }
            let bytes = server.table.byteCount
            let isSmall = bytes <= configuration.carryBytes && bytes <= budget
            if isSmall || hasOnlyEndToFlush(server), canCarry(server) {
                budget -= bytes
                carry(server, through: newest)
            } else {
                startFlush(
                    of: server, through: closedFiles.compactMap { $0.last(of: share.server) }.max() ?? share.last)
            }
        }
    }

    private func canCarry(_ server: HostedServer) -> Bool {
        server.table.firstIndex <= max(server.storage.flushed, server.core.logTerms.baseIndex).next
    }

    /// Writes all entries of a server that are only in the log once more.
    private func carry(_ server: HostedServer, through sequence: UInt64) {
        seal(server)
        server.storage.carriedThrough = sequence
        let first = max(server.storage.flushed.next, server.table.firstIndex)
        for region in server.table.regions(from: first, through: server.table.lastIndex) {
            guard let term = server.core.logTerms.term(at: region.last) ?? termInTable(of: server, at: region.last)
            else { continue }
            output.records.append(
                .entries(
                    EntriesRecord(
                        uid: server.uid, epoch: server.core.logEpoch, first: region.first, count: region.count,
                        lastTerm: term, bytes: region.bytes)))
        }
    }

    private func termInTable(of server: HostedServer, at index: LogIndex) -> Term? {
        server.table.entry(at: index)?.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.flatMap { EntryHeader.loadTrusted(from: $0) }?.term
        }
    }

    /// Writes what is durable of a server's entries, through an index, into segments.
    func startFlush(of server: HostedServer, through index: LogIndex) {
        // A segment that is written now would pass for newer than those that come with a snapshot, and hide them.
        guard !server.storage.isWritingSegments, server.storage.incoming == nil, !server.isDeleted else { return }
        let first = max(server.storage.flushed.next, server.table.firstIndex)
        let last = min(index, server.core.durableIndex, lastToFlush(of: server))
        guard first <= last, server.table.contains(first) else { return }
        server.storage.isWritingSegments = true
        server.storage.truncatedFrom = nil
        start(
            .flush(
                server.table.regions(from: first, through: last), from: takeNumbers(of: server), salt: random.next()),
            of: server.uid, .flush(through: last))
    }

    /// Numbers for the segments of a job, which no other job gets.
    func takeNumbers(of server: HostedServer) -> UInt64 {
        let number = server.storage.segments.nextNumber
        server.storage.segments.reserve(through: number + Self.numbersPerJob)
        return number
    }

    /// More segments than any job writes.
    private static let numbersPerJob: UInt64 = 1 << 20

    func flushed(_ segments: [Segment], through last: LogIndex, for server: HostedServer) {
        server.storage.isWritingSegments = false
        server.counters.segmentsWritten += UInt64(segments.count)
        for segment in segments {
            _ = server.storage.segments.add(segment, truncatedFrom: server.storage.truncatedFrom)
        }
        let end = min(last, server.storage.truncatedFrom?.previous ?? last)
        server.storage.flushed = max(server.storage.flushed, end)
        letGo(of: server)
        offerWhatIsFlushed(of: server)
        releaseLogFiles()
        installIfWhole(server)
        repairIfWanted(server)
        compactIfWanted(server)
        relieve()
    }

    /// Lets go of the entries in memory that are in segments and applied, or that nobody needs.
    func letGo(of server: HostedServer) {
        let settled = min(server.storage.flushed, server.applied)
        let unneeded = server.storage.floor?.liveCount == 0 ? server.core.logTerms.baseIndex : .zero
        let before = server.table.byteCount
        server.table.release(through: max(settled, unneeded))
        memoryBytes -= before - server.table.byteCount
    }

    // MARK: Release

    /// Releases the log files that nobody needs.
    func releaseLogFiles() {
        var oldest: UInt64?
        while let file = closedFiles.first {
            while let share = closedFiles[0].shares.last, isSettled(share, in: file.sequence) {
                closedFiles[0].shares.removeLast()
            }
            guard closedFiles[0].shares.isEmpty else { break }
            oldest = file.sequence + 1
            closedFiles.removeFirst()
        }
        if let oldest { output.records.append(.filesReleased(oldest: oldest)) }
    }

    /// Whether a server needs a log file no more.
    private func isSettled(_ share: WALFileContents.Share, in sequence: UInt64) -> Bool {
        guard let server = serversByUID[share.server] else { return true }
        return server.storage.carriedThrough >= sequence
            || server.storage.covered >= min(share.last, server.core.lastIndex)
    }

    /// Begins again for what there was no room.
    func retryWrites() {
        guard let time = retryWritesAt, time <= now else { return }
        retryWritesAt = nil
        for case let server? in servers {
            if server.storage.waitsForRoom {
                server.storage.waitsForRoom = false
                markDirty(server)
            }
            compactIfWanted(server)
        }
        for file in closedFiles {
            for share in file.shares where !isSettled(share, in: file.sequence) {
                if let server = serversByUID[share.server] { startFlush(of: server, through: share.last) }
            }
        }
    }
}

extension WALFileContents {
    /// The highest index of a server's entries, if there are any.
    fileprivate func last(of uid: ServerUID) -> LogIndex? { shares.first { $0.server == uid }?.last }
}
