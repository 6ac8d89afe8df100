import FlotillaWire
import NIOCore

/// What clusters tell the client's sessions by themselves.
extension ClientCore {
    /// How many messages may wait to be taken.
    private static let messagesMax = 8_192

    /// Takes what a cluster tells the session from now on.
    func listen(to name: ClusterName) -> Result<(SessionID, AsyncStream<RawSessionMessage>), FlotillaError> {
        let cluster = cluster(name)
        guard configuration.exactlyOnce else {
            return .failure(FlotillaError(.invalidArgument, "the client has no sessions that could be told anything"))
        }
        guard let session = cluster.session.current else {
            return .failure(FlotillaError(.sessionExpired, "the session with \(name) has just ended"))
        }
        let (stream, listener) = AsyncStream.makeStream(
            of: RawSessionMessage.self, bufferingPolicy: .bufferingOldest(Self.messagesMax))
        cluster.listeners.append(listener)
        // While nobody listened, connections and leaders may have changed without the leader being told.
        if cluster.session.attachedTo == nil || cluster.session.attachedTo != cluster.leader?.uid {
            attachAnew(cluster)
        }
        return .success((SessionID(session.id), stream))
    }

    /// A server has told a session something.
    func receive(_ events: SessionEvents) {
        let told = clusters.first { cluster in
            cluster.session.current?.id == events.session.rawValue
                && (cluster.leader?.uid == events.server || cluster.located?.configuration.member(events.server) != nil)
        }
        guard let cluster = told else {
            counters.strayAnswers += 1
            return
        }
        for event in events.events {
            if case .deposed = event { isDeposed(events.server, cluster) } else { yield(.event(event), of: cluster) }
        }
    }

    func yield(_ message: RawSessionMessage, of cluster: ClusterRoute) {
        cluster.listeners.removeAll { listener in
            switch listener.yield(message) {
            case .terminated: return true
            case .dropped:
                counters.droppedMessages += 1
                return false
            default: return false
            }
        }
    }

    /// Who told the session things leads no more: the next leader is told where the session's client is.
    private func isDeposed(_ server: ServerUID, _ cluster: ClusterRoute) {
        cluster.deposed(server, hint: nil)
        attachAnew(cluster)
    }

    /// Tells whoever leads that the client lives, since it may be another than before.
    func attachAnew(_ cluster: ClusterRoute) {
        cluster.session.attachedTo = nil
        guard !cluster.listeners.isEmpty, cluster.session.current != nil else { return }
        cluster.session.keepIsDue = true
        keepSession(of: cluster)
    }

    /// A leader knows where the session's client is.
    func isAttached(_ cluster: ClusterRoute, to leader: Target) {
        let wasElsewhere = cluster.session.attachedTo != leader.uid
        cluster.session.attachedTo = leader.uid
        if wasElsewhere { yield(.interrupted, of: cluster) }
    }

    /// Lets go of whoever takes messages.
    func endMessages() {
        for cluster in clusters {
            for listener in cluster.listeners { listener.finish() }
            cluster.listeners = []
        }
    }
}
