import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire

/// What of a log is no more in memory: read from the disk itself, or covered by a snapshot.
extension Checker {
    /// The lines from an index on that come before those in a server's memory.
    func linesNotInMemory(of server: HostedServer, on host: Int, from first: LogIndex) -> [LogLine] {
        guard first < server.table.firstIndex else { return [] }
        return lines(
            server.storage.segments, on: host, from: first, to: server.table.firstIndex,
            base: server.core.logTerms.baseIndex)
    }

    /// The lines of a recovered server that are in segments, from the first on.
    func storedLines(of server: RecoveredServer, on host: Int) -> [LogLine] {
        let end = server.table.firstIndex
        guard let segments = server.files?.segments else {
            return [LogLine](repeating: .covered, count: Int(end.rawValue) - 1)
        }
        return lines(segments, on: host, from: LogIndex(1), to: end, base: server.snapshot.index)
    }

    private func lines(
        _ segments: SegmentSet, on host: Int, from first: LogIndex, to end: LogIndex, base: LogIndex
    ) -> [LogLine] {
        guard first < end else { return [] }
        var lines = [LogLine](repeating: .covered, count: end - first)
        let stored = StoredEntries(disk: world.computers[host].disk)
        // What a snapshot covers may be there no more, or be what the snapshot superseded.
        var next = max(first, base.next)
        while next < end {
            let entries = stored.entries(of: segments, from: next, through: end.previous)
            for (index, bytes) in entries {
                LogLine.forEachEntry(in: bytes) { lines[index - first] = LogLine($0) }
            }
            next = max(entries.last?.index ?? next, next).next
        }
        return lines
    }

    /// Whether a durable snapshot of a server covers an index.
    func isCovered(_ index: LogIndex, of uid: ServerUID, on host: Int) -> Bool {
        let servers = world.computers[host].serving?.kernel?.hostedServers ?? []
        guard let server = servers.first(where: { $0.uid == uid }) else { return false }
        return index <= server.storage.snapshots.newestSnapshot?.index ?? .zero
    }
}
