import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The entries of a server that are at hand: in its table, or read from segments a while ago.
struct LogView: LogExtents {
    private let server: HostedServer

    init(_ server: HostedServer) { self.server = server }

    func extent(from first: LogIndex, through last: LogIndex, bytes: Int) -> (through: LogIndex, bytes: Int)? {
        if server.table.contains(first) { return server.table.extent(from: first, through: last, bytes: bytes) }
        return fetched(first)?.extent(from: first, through: last, bytes: bytes)
    }

    /// The encoded entries of a range that `extent` gave.
    func slices(from first: LogIndex, through last: LogIndex) -> [ByteBuffer] {
        if server.table.contains(first) { return server.table.slices(from: first, through: last) }
        guard let region = fetched(first) else { preconditionFailure("entries that are not at hand") }
        return [region.slice(from: first, through: last)]
    }

    private func fetched(_ index: LogIndex) -> MemoryTable.Region? {
        for regions in server.storage.fetched.reversed() {
            if let region = regions.last(where: { $0.first <= index && index <= $0.last }) { return region }
        }
        return nil
    }
}
