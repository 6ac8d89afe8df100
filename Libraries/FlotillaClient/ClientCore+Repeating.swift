import DequeModule
import FlotillaWire
import NIOCore

/// What is sent once more: operations that were certainly not done, queries, and commands of a session, which take
/// effect once however often they are sent.
extension ClientCore {
    /// Puts operations back, ahead of what was never sent, in the order given.
    func sendAgain(_ numbers: [Int]) {
        for number in numbers {
            let (cluster, lane) = route(table[number].route)
            let hasLeft = table[number].serial > 0 && table[number].session != cluster.session.current?.id
            if hasLeft, !moveToNextSession(number) { continue }
            table[number].generation &+= 1
            table[number].state = .queued
            counters.retries += 1
            let kind = table[number].kind
            let frame = repetitionFrame(
                cluster, lane: lane, kind: kind, isSealed: kind.isQuery || table[number].isSealed)
            table[number].offset = frame.copyItem(
                of: table[number], number: number, wireCorrelation: table.wireCorrelation(number))
            table[number].frame = frame
        }
    }

    /// Sends operations again of which nothing will be heard any more: queries and commands of a session, in the order
    /// in which they were first sent.
    func sendUncertainAgain(_ numbers: [Int]) {
        for number in numbers where !table[number].kind.isQuery { table[number].isUncertain = true }
        sendAgain(numbers.sorted { table[$0].serial < table[$1].serial })
    }

    /// The frame that a repetition goes into. Commands that have their serials need no room in the session, and make some
    /// when they are answered: they never wait for those that have none yet.
    private func repetitionFrame(
        _ cluster: ClusterRoute, lane: Int, kind: OperationKind, isSealed: Bool
    ) -> OutFrame {
        let repeated = cluster.lanes[lane][kind.rawValue].repeated
        if let last = repeated.last(where: { ($0.unsealedCount == 0) == isSealed }), !last.isFull { return last }
        let frame = OutFrame(kind: kind)
        let place = isSealed ? repeated.firstIndex { $0.unsealedCount > 0 } : nil
        cluster.lanes[lane][kind.rawValue].repeated.insert(frame, at: place ?? repeated.endIndex)
        return frame
    }

    /// What was written to a connection that is gone. Commands without a session have an unknown outcome.
    func loseOperations(of connection: NodeConnection, _ error: FlotillaError) {
        let lost = table.open { slot in
            if case .sent(connection.number) = slot.state { true } else { false }
        }
        sendUncertainAgain(lost.filter { table[$0].mayBeRepeated })
        for number in lost where table[number].isSent {
            finish(number, abandonedBecause: error, what: "\(error.message) after it was sent")
        }
    }

    /// Sends what was sent to others than the leader, and not answered yet, to the leader: they may be cut off, or stand
    /// still.
    func turnToLeader(of cluster: ClusterRoute) {
        guard let leader = cluster.leader else { return }
        let connections = Set(
            links.filter { $0.key.address == leader.address || $0.node?.address == leader.address }
                .compactMap { $0.connection?.number })
        let stray = table.open { slot in
            guard case .sent(let connection) = slot.state, !connections.contains(connection) else { return false }
            return slot.kind != .localQuery && slot.mayBeRepeated && routes[slot.route]?.route === cluster
        }
        sendUncertainAgain(stray)
    }

    /// Asks around when the leader of a cluster leaves everything unanswered.
    func suspectSilentLeader(of cluster: ClusterRoute, _ now: NIODeadline) {
        guard let since = cluster.silentSince, since + configuration.suspicionTimeout.timeAmount <= now else { return }
        let isWaiting = table.contains { $0.isSent && routes[$0.route]?.route === cluster }
        cluster.silentSince = isWaiting ? now : nil
        if isWaiting { suspectLeader(of: cluster) }
    }
}
