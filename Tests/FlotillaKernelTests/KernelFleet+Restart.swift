import FlotillaConsensus
import FlotillaWire
import Testing

@testable import FlotillaKernel
@testable import FlotillaStorage

// Nodes that come back, with their disk or without.
extension KernelFleet {
    /// Starts a killed node again with what was durable on its disk.
    ///
    /// - Parameter damaged: servers of which something can't be read.
    func restart(_ node: Node, damaged: Set<ServerUID> = []) throws {
        var replay = WALReplay()
        for record in node.log { try apply(record, to: &replay) }
        var recovered = RecoveredNode(nodeID: node.id)
        recovered.servers = replay.sortedServers.filter { !damaged.contains($0.creation.uid) }
        recovered.lost =
            replay.latest.sortedLost.map { LostServer(uid: $0, creation: replay.latest.creation(of: $0), damage: nil) }
            + damaged.sorted().map { uid in
                let damage = Damage(file: "a file", offset: 7, kind: .entryBody, server: uid)
                return LostServer(uid: uid, creation: replay.latest.creation(of: uid), damage: damage)
            }
        recovered.tombstones = replay.latest.sortedTombstones
        recovered.peers = replay.latest.sortedPeers
        try start(node, recovered)
    }

    private func apply(_ record: WALRecord, to replay: inout WALReplay) throws {
        let content: WALReadRecord.Content
        if case .entries(let entries) = record {
            let append = AppendEntries(
                term: entries.lastTerm, previousIndex: entries.first.previous, previousTerm: .zero,
                commitIndex: .zero, count: entries.count)
            let read = try ReceivedEntries(entries.bytes, following: append)
            content = .entries(
                entries, runs: read.terms.map { ($0.first, $0.term) }, configurations: read.configurations)
        } else {
            content = .item(.record(record))
        }
        let damage = replay.apply(WALReadRecord(content: content, offset: 0, checksum: 0))
        #expect(
            damage == nil || record.uid.map { replay.latest.isDeleted($0) } ?? false, "\(String(describing: damage))")
    }

    /// Starts a killed node again with an empty disk: another node of the same name and address.
    func wipe(_ node: Node, as id: NodeID) throws {
        node.id = id
        node.log = []
        try start(node, RecoveredNode(nodeID: id))
    }

    private func start(_ node: Node, _ recovered: RecoveredNode) throws {
        node.status = WALStatus()
        node.incarnation = Incarnation(node.incarnation.rawValue + 1)
        let identity = Hello.Node(id: node.id, name: node.name, incarnation: node.incarnation, address: node.address)
        node.kernel = try makeKernel(identity, recovered, nodes.count)
        node.isRunning = true
    }
}
