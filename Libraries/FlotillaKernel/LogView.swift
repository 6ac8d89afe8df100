import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// The entries of a server that are at hand: in its table, or fetched from disk for a while.
struct LogView: LogExtents {
    private let server: HostedServer

    init(_ server: HostedServer) { self.server = server }

    func extent(from first: LogIndex, through last: LogIndex, bytes: Int) -> (through: LogIndex, bytes: Int)? {
        server.table.contains(first) ? server.table.extent(from: first, through: last, bytes: bytes) : nil
    }
}
