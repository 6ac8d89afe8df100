import FlotillaWire
import NIOCore

extension ClientCore {
    /// Writes what waits for a cluster, as far as its servers are known, connected and not choked.
    func flush(_ cluster: ClusterRoute) {
        if let until = cluster.pausedUntil {
            guard until <= .now() else { return }
            cluster.pausedUntil = nil
        }
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
        var wrote = false
        while connection.isWritable, let frame = cluster.lanes[lane][kind.rawValue].popFirst() {
            wrote = write(frame, to: target, over: connection) || wrote
        }
        if wrote { connection.flush() }
    }

    private func write(_ frame: OutFrame, to target: Target, over connection: NodeConnection) -> Bool {
        let frame = frame.abandoned == 0 ? frame : withoutAbandoned(frame)
        guard !frame.slots.isEmpty else { return false }
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

    /// Puts operations that were certainly not done back, ahead of what was never sent, in the order given.
    func sendAgain(_ numbers: [Int]) {
        for number in numbers {
            table[number].generation &+= 1
            table[number].state = .queued
            counters.retries += 1
            let (cluster, lane) = route(table[number].route)
            let kind = table[number].kind
            let frame = repetitionFrame(cluster, lane: lane, kind: kind)
            table[number].offset = frame.copyItem(
                of: table[number], number: number, wireCorrelation: table.wireCorrelation(number))
            table[number].frame = frame
        }
    }

    private func repetitionFrame(_ cluster: ClusterRoute, lane: Int, kind: OperationKind) -> OutFrame {
        if let last = cluster.lanes[lane][kind.rawValue].repeated.last, !last.isFull { return last }
        let frame = OutFrame(kind: kind)
        cluster.lanes[lane][kind.rawValue].repeated.append(frame)
        return frame
    }

    /// Lets a cluster rest for a moment, after it said that it has no room or sent commands in a circle.
    func pause(_ cluster: ClusterRoute) {
        let pause = cluster.refusalBackOff.next()
        cluster.pausedUntil = .now() + pause
        eventLoop.assumeIsolated().scheduleTask(in: pause) { self.flush(cluster) }
    }
}
