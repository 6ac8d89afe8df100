import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Entries that are in memory no more: read from segments for followers, for the machine, and for queries.
extension Kernel {
    /// How much is read at once.
    private static let fetchBytes = 1 << 20
    /// How many reads for followers are kept: followers may be at several places.
    private static let fetchesKept = 4

    // MARK: For followers

    func fetchEntries(of server: HostedServer, from index: LogIndex) {
        guard !server.storage.isFetching, server.storage.readsAgainAt == nil else { return }
        let slices = server.storage.segments.slices(from: index, through: server.table.firstIndex.previous)
        guard let first = slices.first else { return }
        server.storage.isFetching = true
        start(.read(slices, maxBytes: Self.fetchBytes), of: server.uid, .fetch(first.firstEntry))
    }

    func fetched(_ regions: [MemoryTable.Region], for server: HostedServer) {
        server.storage.isFetching = false
        server.counters.entriesFetched += UInt64(regions.reduce(0) { $0 + $1.count })
        // What was truncated meanwhile is not the log's any more.
        server.storage.fetched.append(regions.filter { $0.last <= server.core.lastIndex && isInLog($0, of: server) })
        server.storage.fetched.removeFirst(max(0, server.storage.fetched.count - Self.fetchesKept))
        step(server, .entriesFetched)
    }

    private func isInLog(_ region: MemoryTable.Region, of server: HostedServer) -> Bool {
        server.storage.segments.lookUp(region.first) != nil && server.storage.segments.lookUp(region.last) != nil
    }

    // MARK: For the machine

    /// Has the entries read that are to be applied next.
    func readForReplay(of server: HostedServer, through last: LogIndex) {
        guard !server.storage.isReplaying, server.storage.readsAgainAt == nil else { return }
        let slices = server.storage.segments.slices(
            from: server.applied.next, through: min(last, server.table.firstIndex.previous))
        guard let first = slices.first else {
            let message = "its entries from \(server.applied.next) on are neither in memory nor in segments"
            return halt(server, MachineFailure(index: server.applied.next, message: message))
        }
        server.storage.isReplaying = true
        start(.read(slices, maxBytes: configuration.applyBytesPerTurn), of: server.uid, .replay(first.firstEntry))
    }

    // MARK: For queries

    /// Has the entries fetched that are not in memory; `finish` is called for each read once they are there.
    func fetchEntries(for reads: [WaitingEntryRead], of server: HostedServer) {
        guard !reads.isEmpty else { return }
        let wanted = reads.flatMap { read in
            read.pending.indexes.compactMap { index -> (index: LogIndex, segment: Segment?)? in
                server.table.contains(index) ? nil : (index, server.storage.segments.lookUp(index))
            }
        }
        let places = wanted.map { SegmentedEntry(index: $0.index, segment: $0.segment?.number) }
        start(.lookUp(wanted), of: server.uid, .lookUp(reads.map { inMemory($0, of: server) }, places))
    }

    /// Keeps what is in memory now: it may be let go before the rest has been read.
    private func inMemory(_ read: WaitingEntryRead, of server: HostedServer) -> WaitingEntryRead {
        var read = read
        read.entries = read.pending.indexes.map { server.table.entry(at: $0) }
        read.isInMemory = read.pending.indexes.map { server.table.contains($0) }
        return read
    }

    func lookedUp(
        _ entries: [ByteBuffer?], of wanted: [SegmentedEntry], for reads: [WaitingEntryRead], of server: HostedServer
    ) {
        server.counters.entriesFetched += UInt64(entries.count)
        var next = 0
        for read in reads {
            var all = read.entries
            var missing: LogIndex?
            for place in all.indices where !read.isInMemory[place] {
                all[place] = entries[next]
                if entries[next] == nil, isNowhere(wanted[next], of: server) { missing = wanted[next].index }
                next += 1
            }
            // A machine that reads is told what is gone.
            if let missing, case .query = read.reader {
                let reason = "entry \(missing) of \(server.creation.id), which it needs, is nowhere"
                refuse(read, of: server, reason, .internalError)
                continue
            }
            finish(read, with: ReadEntries(of: read.pending.indexes, entries: all), of: server)
        }
    }

    /// Whether an entry that was not found where it was looked for stands nowhere else by now.
    private func isNowhere(_ entry: SegmentedEntry, of server: HostedServer) -> Bool {
        !server.table.contains(entry.index)
            && server.storage.segments.lookUp(entry.index)?.number == entry.segment
    }

    func couldNotLookUp(_ reads: [WaitingEntryRead], _ error: StorageError, of server: HostedServer) {
        if error.code == .fileSystem {
            server.counters.failedReads += 1
            for read in reads { refuse(read, of: server, "an entry that it needs can't be read now: \(error)", .busy) }
        } else if error.code == .corrupt, repair(server, error) {
            let reason = "an entry that it needs is damaged, and fetched from the other members: \(error)"
            for read in reads { refuse(read, of: server, reason, .busy) }
        } else {
            for read in reads {
                refuse(read, of: server, "an entry that it needs can't be read: \(error)", .internalError)
            }
        }
    }
}

extension SegmentSlice {
    fileprivate var firstEntry: SegmentedEntry { SegmentedEntry(index: range.lowerBound, segment: segment.number) }
}
