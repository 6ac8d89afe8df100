import FlotillaWire
import NIOCore

extension ClientCore {
    /// Writes what waits for a cluster, as far as its servers are known, connected and not choked.
    func flush(_ cluster: ClusterRoute) {
        if let until = cluster.pausedUntil {
            guard until <= .now() else { return }
            cluster.pausedUntil = nil
        }
        keepSession(of: cluster)
        if cluster.wantsSession { _ = hasSession(cluster) }
        for lane in cluster.lanes.indices {
            for kind in OperationKind.allCases where !cluster.lanes[lane][kind.rawValue].isEmpty {
                flush(cluster, lane: lane, kind: kind)
            }
        }
    }

    private func flush(_ cluster: ClusterRoute, lane: Int, kind: OperationKind) {
        guard let target = cluster.target(of: kind) else {
            startLocating(cluster)
            return
        }
        guard let connection = connect(link(target.address, lane: lane)).connection else {
            startLocating(cluster)
            return
        }
        guard kind.isQuery || hasSession(cluster) else { return }
        var wrote = false
        while connection.isWritable, let next = cluster.lanes[lane][kind.rawValue].first, hasRoom(for: next, cluster),
            let frame = cluster.lanes[lane][kind.rawValue].popFirst()
        {
            wrote = write(frame, of: cluster, to: target, over: connection) || wrote
        }
        guard wrote else { return }
        if cluster.silentSince == nil { cluster.silentSince = .now() }
        connection.flush()
    }

    /// Whether the session of a cluster has serials for what a frame holds; without, the answers to others free some.
    private func hasRoom(for frame: OutFrame, _ cluster: ClusterRoute) -> Bool {
        cluster.session.current.map { frame.unsealedCount <= $0.room } ?? true
    }

    private func write(
        _ frame: OutFrame, of cluster: ClusterRoute, to target: Target, over connection: NodeConnection
    ) -> Bool {
        let frame = frame.abandoned == 0 ? frame : withoutAbandoned(frame)
        guard !frame.slots.isEmpty else { return false }
        if frame.unsealedCount > 0 { table.seal(frame, in: &cluster.session.current) }
        frame.seal(target: target.uid)
        table.markSent(frame.slots, connection: connection.number)
        counters.sent += UInt64(frame.slots.count)
        counters.framesSent += 1
        connection.write(frame.buffer)
        return true
    }

    /// The same frame without the items that nobody waits for any more: they must not be sent.
    private func withoutAbandoned(_ frame: OutFrame) -> OutFrame {
        let kept = OutFrame(kind: frame.kind)
        for number in frame.slots where table[number].frame === frame {
            table[number].offset = kept.copyItem(
                of: table[number], number: number, wireCorrelation: table.wireCorrelation(number))
            table[number].frame = kept
        }
        return kept
    }

    /// Lets a cluster rest for a moment, after it said that it has no room or sent commands in a circle.
    func pause(_ cluster: ClusterRoute) {
        let pause = cluster.refusalBackOff.next()
        cluster.pausedUntil = .now() + pause
        eventLoop.assumeIsolated().scheduleTask(in: pause) { self.flush(cluster) }
    }
}
