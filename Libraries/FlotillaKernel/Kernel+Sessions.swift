import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// What the leader of a cluster knows of the clients whose sessions stand in the replicated state. None of it is
/// replicated: another leader begins anew, and grants every session a whole lease.
struct SessionWatch {
    /// Who waits for the entry that registers a session to be applied.
    var waiters: [(index: LogIndex, term: Term, ticket: RequestTicket)] = []
    /// When a sign of each session's client was last seen.
    var seen: [UInt64: Instant] = [:]
    /// The sessions whose end is in the log already.
    var ending: Set<UInt64> = []
    /// The connections over which the sessions' clients were heard last.
    var links: [UInt64: LinkID] = [:]
    /// What is to be told to sessions whose clients have not been heard yet.
    var waiting: [UInt64: [SessionEvents.Event]] = [:]

    /// Another leader begins, or the same in another term.
    mutating func beginTerm() {
        seen.removeAll()
        waiting.removeAll()
        ending.removeAll()
    }

    /// Forgets the sessions that are no more.
    mutating func keep(_ ids: [UInt64]) {
        guard seen.count > ids.count || links.count > ids.count || !ending.isEmpty else { return }
        let living = Set(ids)
        seen = seen.filter { living.contains($0.key) }
        links = links.filter { living.contains($0.key) }
        waiting = waiting.filter { living.contains($0.key) }
        ending.formIntersection(living)
    }
}

/// Client sessions, which begin and end by entries of the log. Whether a client lives is seen by the leader alone, from
/// what it sends now and then.
extension Kernel {
    // MARK: The beginning

    func openSession(of server: HostedServer, home: NodeName?, for ticket: RequestTicket) {
        if let refusal = refusalOfSession(by: server, on: ticket.link) {
            return respond(.error(refusal), to: ticket)
        }
        guard case .success(let index) = server.core.propose(count: 1) else {
            return respond(.error(notLeader(server)), to: ticket)
        }
        var body = ByteBuffer()
        if let home { body.writeText(home.description) }
        append(.sessionRegister, body: body, at: index, for: server)
        server.sessions.waiters.append((index, server.core.term, ticket))
        markDirty(server)
    }

    private func refusalOfSession(by server: HostedServer, on link: LinkID) -> FlotillaError? {
        guard let link = links[link] else { return FlotillaError(.unreachable, "the connection is gone") }
        if let refusal = refusalOfCommands(by: server, on: link, count: 1, bytes: EntryHeader.byteCount) {
            return refusal
        }
        let count = server.machine.sessions.count + server.sessions.waiters.count
        guard count >= configuration.sessionsPerCluster else { return nil }
        return FlotillaError(
            .busy, "\(server.creation.clusterName) has \(count) client sessions, which is its limit on \(identity.name)"
        )
    }

    /// Answers those whose session has begun, or never will by the entry that was made for it.
    func answerSessions(of server: HostedServer) {
        while let waiter = server.sessions.waiters.first, waiter.index <= server.applied {
            server.sessions.waiters.removeFirst()
            let id = waiter.index.rawValue
            // Another leader's entry may stand there. Asking again does no harm.
            guard server.core.logTerms.term(at: waiter.index) == waiter.term, server.machine.sessions.contains(id)
            else {
                respond(.error(notLeader(server)), to: waiter.ticket)
                continue
            }
            server.sessions.seen[id] = now
            if let link = links[waiter.ticket.link] { attach([id], of: server, to: link) }
            let lease = UInt32(clamping: configuration.sessionLease.wholeMilliseconds)
            respond(.sessionOpened(SessionOpened(id: id, leaseMilliseconds: lease)), to: waiter.ticket)
        }
    }

    // MARK: Life

    func keep(_ sessions: [UInt64], of server: HostedServer, over link: Link) -> ClientResponse {
        attach(sessions, of: server, to: link)
        guard server.core.role == .leader else { return .error(notLeader(server)) }
        for id in sessions where server.machine.sessions.contains(id) { server.sessions.seen[id] = now }
        // Only who has applied what was committed before it led can say that there is none.
        guard server.core.readyToServe, server.applied >= server.core.commitIndex,
            let gone = sessions.first(where: { !server.machine.sessions.contains($0) })
        else { return .done }
        return .error(
            FlotillaError(.sessionExpired, "\(server.creation.clusterName) knows session \(gone) no more"))
    }

    // MARK: The end

    /// Ends sessions because their client says so.
    func end(known sessions: [UInt64], of server: HostedServer) -> ClientResponse {
        if let refusal = refusalOfEntries(by: server) { return .error(refusal) }
        let living = sessions.filter { server.machine.sessions.contains($0) && !server.sessions.ending.contains($0) }
        end(living, of: server)
        return .done
    }

    /// Ends the sessions whose clients were silent for longer than the lease.
    func watchSessions() {
        for case let server? in servers {
            answerLateSessions(of: server)
            let table = server.machine.sessions
            // Also a member that does not lead knows of connections.
            if !server.sessions.links.isEmpty { server.sessions.keep(table.ids) }
            guard table.count > 0, server.core.role == .leader, server.core.readyToServe, server.failure == nil else {
                continue
            }
            let ids = table.ids
            server.sessions.keep(ids)
            var silent: [UInt64] = []
            for id in ids where !server.sessions.ending.contains(id) {
                // Those that another leader saw get a whole lease from this one.
                let seen = server.sessions.seen[id] ?? now
                server.sessions.seen[id] = seen
                if seen + configuration.sessionLease <= now { silent.append(id) }
            }
            end(Array(silent.prefix(Limits.sessionsPerRequest)), of: server)
        }
    }

    private func end(_ ids: [UInt64], of server: HostedServer) {
        guard !ids.isEmpty, server.core.transferTarget == nil, !server.core.isRetiring, !walStatus.limitReached,
            case .success(let index) = server.core.propose(count: 1)
        else { return }
        var body = ByteBuffer()
        body.writeList(ids) { $0.writeLittle($1) }
        append(.sessionExpire, body: body, at: index, for: server)
        server.sessions.ending.formUnion(ids)
        markDirty(server)
    }

    private func answerLateSessions(of server: HostedServer) {
        let late = server.sessions.waiters.filter { $0.ticket.deadline <= now }
        server.sessions.waiters.removeAll { $0.ticket.deadline <= now }
        for waiter in late {
            respond(.error(FlotillaError(.timeout, "the session has not begun in time")), to: waiter.ticket)
        }
    }
}

extension Duration {
    /// How many whole milliseconds it lasts; 0 for a span that is not positive.
    fileprivate var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 ? 0 : UInt64(seconds) &* 1_000 &+ UInt64(max(0, attoseconds) / 1_000_000_000_000_000)
    }
}
