import FlotillaStorage
import FlotillaWire

extension Kernel {
    func receive(_ request: SnapshotRequest, from peer: Peer) {}
    func receive(_ part: SnapshotPart, from peer: Peer) {}
    func offerSnapshot(of server: HostedServer, to uid: ServerUID) {}
    func fetchEntries(of server: HostedServer, from index: LogIndex) {}
    func wantSnapshot(_ index: LogIndex, term: Term, of server: HostedServer, from sender: ServerUID) {}
    func resetLog(of server: HostedServer, after index: LogIndex) {}
}
