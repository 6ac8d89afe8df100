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
        case .local: answer(ticket, from: server)
        case .leader:
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
        let context = QueryContext(
            index: server.applied, term: server.appliedTerm, machineVersion: server.machineVersion)
        var unreadable: [UInt64] = []
        var unsent: [UInt64] = []
        // It was read before without an error; what it throws now can only be the same nothing.
        _ = try? QueryBatch.decode(ticket.body) { correlation, query in
            guard link.unsentBytes < Self.unsentBytesMax else { return unsent.append(correlation) }
            // Item by item, so that a frame is closed when it has grown long.
            link.writeResults(.answers, server: server.uid, term: server.core.term) { buffer in
                let isReadable = write(query, correlation, to: server.machine, at: context, into: &buffer)
                if !isReadable { unreadable.append(correlation) }
                return isReadable ? 1 : 0
            }
        }
        markDirty(link)
        reject(unsent, server: server.uid, FlotillaError(.busy, "too many answers wait to be read"), on: link)
        let error = FlotillaError(.malformed, "the machine of \(server.creation.id) can't read this query")
        reject(unreadable, server: server.uid, error, on: link)
    }

    /// How many bytes of answers may gather for one connection in a turn.
    private static let unsentBytesMax = 32 << 20

    /// Appends the answer to one query; nothing when the machine can't read the query.
    private func write(
        _ query: ByteBuffer, _ correlation: UInt64, to machine: HostedMachine, at context: QueryContext,
        into buffer: inout ByteBuffer
    ) -> Bool {
        let start = buffer.writerIndex
        buffer.writeMultipleIntegers(correlation, context.index.rawValue, UInt32(0), endianness: .little)
        do {
            try machine.answer(query, at: context, into: &buffer)
            let length = buffer.writerIndex - start - ResultBatch.itemByteCount
            buffer.setInteger(UInt32(length), at: start + 16, endianness: .little)
            return true
        } catch {
            buffer.moveWriterIndex(to: start)
            return false
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
