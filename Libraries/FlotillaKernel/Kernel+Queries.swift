import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Queries: answered at once, or once the leader's word is had and applied.
extension Kernel {
    /// A `queries` frame has come from a client.
    func receiveQueries(_ body: ByteBuffer, on link: Link) throws(WireError) {
        // Everything is read once before anything is answered, so that a broken frame is refused whole.
        var count: UInt64 = 0
        let (uid, consistency) = try QueryBatch.decode(body) { _, _ in count += 1 }
        guard count <= Limits.openCommandsPerConnection else {
            throw WireError(.limit, "\(count) queries in a frame, the limit is \(Limits.openCommandsPerConnection)")
        }
        let ticket = WaitingReads.Ticket(
            link: link.id, body: body, deadline: now + configuration.readPatience)
        guard let server = server(uid, for: link) else {
            return refuse(
                ticket, server: uid, FlotillaError(.unknownServer, "node \(identity.name) hosts no server \(uid)"))
        }
        server.counters.queries += count
        switch consistency {
        case .local:
            guard mayAnswer(ticket, server) else { return }
            answer(ticket, from: server)
        case .leader:
            guard mayAnswer(ticket, server) else { return }
            guard server.core.role == .leader else { return refuse(ticket, of: server, notLeader(server)) }
            answer(ticket, from: server)
        case .consistent:
            if let failure = server.failure { return refuse(ticket, of: server, halted(server, failure)) }
            guard server.reads.count < Limits.openCommandsPerConnection else {
                return refuse(ticket, of: server, FlotillaError(.busy, "too many consistent queries wait"))
            }
            server.counters.consistentQueries += count
            step(server, .read(token: server.reads.add(ticket)))
        }
    }

    /// Refuses queries when there is no state that they could be answered from.
    private func mayAnswer(_ ticket: WaitingReads.Ticket, _ server: HostedServer) -> Bool {
        if let failure = server.failure {
            refuse(ticket, of: server, halted(server, failure))
            return false
        }
        guard server.storage.isMachineMissing else { return true }
        let reason = "the state of \(server.creation.id) is still being read from its snapshot"
        refuse(ticket, of: server, FlotillaError(.busy, reason))
        return false
    }

    func readIsReady(_ token: UInt64, at index: LogIndex, for server: HostedServer) {
        guard let ticket = server.reads.take(token) else { return }
        if let failure = server.failure { return refuse(ticket, of: server, halted(server, failure)) }
        server.reads.wait(ticket, until: index)
        markDirty(server)
    }

    func readIsLost(_ token: UInt64, for server: HostedServer) {
        guard let ticket = server.reads.take(token) else { return }
        refuse(ticket, of: server, notLeader(server))
    }

    /// Refuses the queries that have waited for too long: the client asks again if it still wants to know.
    func watchReads() {
        for case let server? in servers where server.reads.count > 0 {
            let error = FlotillaError(.timeout, "no majority has confirmed the leader in time")
            for ticket in server.reads.takeLate(now) { refuse(ticket, of: server, error) }
        }
    }

    /// Answers the queries whose index is applied by now.
    func answerReads(of server: HostedServer) {
        guard !server.reads.isEmpty else { return }
        for ticket in server.reads.takeReady(through: server.applied) { answer(ticket, from: server) }
    }

    private func answer(_ ticket: WaitingReads.Ticket, from server: HostedServer) {
        guard let link = links[ticket.link] else { return }
        let context = queryContext(of: server)
        var unreadable: [UInt64] = []
        var unsent: [UInt64] = []
        var waiting: [WaitingEntryRead] = []
        // It was read before without an error; what it throws now can only be the same nothing.
        _ = try? QueryBatch.decode(ticket.body) { correlation, query in
            guard link.unsentBytes < Self.unsentBytesMax else { return unsent.append(correlation) }
            switch look(up: query, correlation, at: context, in: server, for: link) {
            case .answered: break
            case .unreadable: unreadable.append(correlation)
            case .needs(let pending):
                let asked = WaitingEntryRead.Query(
                    link: link.id, correlation: correlation, query: query, context: context)
                let read = WaitingEntryRead(reader: .query(asked), pending: pending)
                if !finishFromMemory(read, of: server) { waiting.append(read) }
            }
        }
        markDirty(link)
        reject(unsent, server: server.uid, Self.tooManyAnswers, on: link)
        reject(unreadable, server: server.uid, unreadableQuery(server), on: link)
        fetchEntries(for: waiting, of: server)
    }

    /// How many bytes of answers may gather for one connection in a turn.
    static let unsentBytesMax = 32 << 20
    static let tooManyAnswers = FlotillaError(.busy, "too many answers wait to be read")

    func unreadableQuery(_ server: HostedServer) -> FlotillaError {
        FlotillaError(.malformed, "the machine of \(server.creation.id) can't read this query")
    }

    func queryContext(of server: HostedServer) -> QueryContext {
        QueryContext(index: server.applied, term: server.appliedTerm, machineVersion: server.machineVersion)
    }

    /// What has become of a query.
    enum LookUp {
        case answered
        /// The machine can't read it.
        case unreadable
        case needs(PendingRead)
    }

    /// Has the machine answer a query, or say what it needs for that.
    func look(
        up query: ByteBuffer, _ correlation: UInt64, at context: QueryContext, in server: HostedServer, for link: Link
    ) -> LookUp {
        var outcome = LookUp.answered
        writeAnswer(correlation, at: context, from: server, to: link) { buffer in
            do {
                guard let pending = try server.machine.answer(query, at: context, into: &buffer) else { return true }
                outcome = .needs(pending)
            } catch { outcome = .unreadable }
            return false
        }
        return outcome
    }

    /// Appends the answer to one query if there is one, which `write` says. Item by item, so that a frame is closed when
    /// it has grown long.
    func writeAnswer(
        _ correlation: UInt64, at context: QueryContext, from server: HostedServer, to link: Link,
        _ write: (inout ByteBuffer) -> Bool
    ) {
        link.writeResults(.answers, server: server.uid, term: server.core.term) { buffer in
            let start = buffer.writerIndex
            buffer.writeMultipleIntegers(correlation, context.index.rawValue, UInt32(0), endianness: .little)
            guard write(&buffer) else {
                buffer.moveWriterIndex(to: start)
                return 0
            }
            let length = buffer.writerIndex - start - ResultBatch.itemByteCount
            buffer.setInteger(UInt32(length), at: start + 16, endianness: .little)
            return 1
        }
    }

    func refuse(_ ticket: WaitingReads.Ticket, of server: HostedServer, _ error: FlotillaError) {
        refuse(ticket, server: server.uid, error)
    }

    private func refuse(_ ticket: WaitingReads.Ticket, server: ServerUID, _ error: FlotillaError) {
        guard let link = links[ticket.link] else { return }
        var correlations: [UInt64] = []
        // It was read whole before it became a ticket, so it can't throw now.
        _ = try? QueryBatch.decode(ticket.body) { correlation, _ in correlations.append(correlation) }
        reject(correlations, server: server, error, on: link)
    }
}
