import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore

/// What servers tell client sessions by themselves.
extension Kernel {
    /// How many bytes may wait for a session whose client is not connected to the leader, after a change of leaders most
    /// likely.
    private static let waitingBytes = 64 << 10
    /// How many bytes of events may gather for one connection in a turn.
    private static let unsentBytes = 32 << 20
    /// About how long a frame of events becomes.
    private static let frameBytes = 256 << 10

    // MARK: Who tells

    /// Whether a message is for this server to send: the leader sends it, or the voter on the session's own node.
    func isSender(of message: Effect.Message, _ server: HostedServer) -> Bool {
        let leads = server.core.role == .leader
        guard message.isLocal, let home = server.machine.sessions.home(of: message.session.rawValue),
            let member = server.core.configuration.members.first(where: { $0.id.node == home && $0.isVoter })
        else { return leads }
        return member.uid == server.uid
    }

    // MARK: The way to the client

    /// The client of sessions speaks over a connection: what is told to them goes there from now on.
    func attach(_ sessions: [UInt64], of server: HostedServer, to link: Link) {
        for id in sessions where server.machine.sessions.contains(id) {
            server.sessions.links[id] = link.id
            if let waiting = server.sessions.waiting.removeValue(forKey: id) {
                write(waiting, to: SessionID(id), of: server, over: link)
            }
        }
    }

    /// Tells a session something, if its client can be reached; at most once.
    func tell(_ events: [SessionEvents.Event], to session: SessionID, of server: HostedServer) {
        guard server.machine.sessions.contains(session.rawValue) else { return drop(events, of: server) }
        if let id = server.sessions.links[session.rawValue], let link = links[id] {
            guard link.unsentBytes < Self.unsentBytes else {
                // A client must know that it misses something: it connects again, and is told of the gap.
                close(link)
                return drop(events, of: server)
            }
            write(events, to: session, of: server, over: link)
        } else {
            keep(events, for: session, of: server)
        }
    }

    private func keep(_ events: [SessionEvents.Event], for session: SessionID, of server: HostedServer) {
        guard server.core.role == .leader else { return drop(events, of: server) }
        var waiting = server.sessions.waiting[session.rawValue] ?? []
        var bytes = waiting.reduce(0) { $0 + $1.byteCount }
        for event in events {
            bytes += event.byteCount
            guard bytes <= Self.waitingBytes else {
                drop([event], of: server)
                continue
            }
            waiting.append(event)
        }
        server.sessions.waiting[session.rawValue] = waiting
    }

    private func write(
        _ events: [SessionEvents.Event], to session: SessionID, of server: HostedServer, over link: Link
    ) {
        var rest = events[...]
        while !rest.isEmpty {
            let part = rest.prefix(Limits.eventsPerFrame).prefix(ofBytes: Self.frameBytes, \.byteCount)
            rest = rest.dropFirst(part.count)
            let frame = SessionEvents(server: server.uid, session: session, events: Array(part))
            link.write { $0.writeFrame(.sessionEvents) { frame.encode(into: &$0) } }
        }
        server.counters.sessionEvents += UInt64(events.count)
        markDirty(link)
    }

    private func drop(_ events: [SessionEvents.Event], of server: HostedServer) {
        server.counters.droppedSessionEvents += UInt64(events.count)
    }

    /// A server leads no more: those that it told things must look for the next leader.
    func releaseSessions(of server: HostedServer) {
        for (id, linkID) in server.sessions.links.sorted(by: { $0.key < $1.key }) {
            guard let link = links[linkID] else { continue }
            write([.deposed], to: SessionID(id), of: server, over: link)
        }
        server.sessions.links.removeAll()
        server.sessions.waiting.removeAll()
    }
}

extension ArraySlice {
    /// As many from the front as have no more bytes together, at least one.
    fileprivate func prefix(ofBytes limit: Int, _ bytes: (Element) -> Int) -> ArraySlice {
        var sum = 0
        let end = firstIndex { element in
            sum += bytes(element)
            return sum > limit
        }
        return self[..<Swift.max(end ?? endIndex, Swift.min(startIndex + 1, endIndex))]
    }
}

extension SessionEvents.Event {
    /// About how long it is.
    fileprivate var byteCount: Int {
        switch self {
        case .message(let bytes, _): bytes.readableBytes + 6
        case .applied(_, _, let reply): reply.readableBytes + 21
        case .deposed: 1
        }
    }
}
