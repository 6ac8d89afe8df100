import FlotillaStorage
import FlotillaWire

/// What keeps the entries in memory below their bound.
extension Kernel {
    /// Has the largest servers written into segments when more than half of what may be in memory is.
    ///
    /// Full log files are what flushes servers otherwise. But the bound may be reached before one is full, or before so
    /// many are that small servers are flushed: commands would be refused, so that no file would ever become full.
    func relieveMemory() {
        let bound = configuration.memoryTableBytes / 2
        // Without room on the disk it is tried again at its time.
        guard memoryBytes > bound, retryWritesAt == nil else { return }
        var excess = memoryBytes - bound
        // Sorting is stable: equal ones stay in the order of their creation.
        let largest = servers.compactMap { $0 }.sorted { $0.table.byteCount > $1.table.byteCount }
        for server in largest where excess > 0 && server.table.byteCount > 0 {
            startFlush(of: server, through: server.table.lastIndex)
            // What can't be flushed now, since it is not durable, or not applied, is no relief.
            if server.storage.isWritingSegments { excess -= server.table.byteCount }
        }
    }
}
