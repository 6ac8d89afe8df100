import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Something that needs entries of the log.
struct WaitingEntryRead {
    /// A query, to be looked up again where what was read does not fit.
    struct Query {
        /// Who asks.
        var link: LinkID
        var correlation: UInt64
        var query: ByteBuffer
        /// Up to where the state went when the query was looked up last.
        var context: QueryContext
        /// How often it was looked up.
        var lookUps = 1
    }

    /// Who reads.
    enum Reader {
        case query(Query)
        /// A machine, which may want something done then.
        case machine(@Sendable (ReadEntries, inout Effects) -> Void)
    }

    var reader: Reader
    var pending: PendingRead
    /// What was in memory when the rest was asked for, and which of its entries that were.
    var entries: [ByteBuffer?] = []
    var isInMemory: [Bool] = []
}

/// Queries that read the log: from memory where it holds the entries, otherwise once somebody has fetched them.
extension Kernel {
    /// How often a query is looked up before its client must ask again. Once more is nearly always enough: the entry
    /// must be overwritten and cut out of the log between the look-up and the reading.
    private static let lookUpsMax = 4

    /// Answers a query from entries in memory.
    ///
    /// - Returns: `false` when some are not there; nothing has happened then.
    func finishFromMemory(_ read: WaitingEntryRead, of server: HostedServer) -> Bool {
        var entries: [ByteBuffer?] = []
        entries.reserveCapacity(read.pending.indexes.count)
        for index in read.pending.indexes {
            guard let entry = server.table.entry(at: index) else { return false }
            entries.append(entry)
        }
        finish(read, with: ReadEntries(of: read.pending.indexes, entries: entries), of: server)
        return true
    }

    /// Hands over the entries that were read.
    func finish(_ read: WaitingEntryRead, with entries: ReadEntries, of server: HostedServer) {
        switch read.reader {
        case .query(let query): finish(query, read.pending, with: entries, of: server)
        case .machine(let then):
            var effects = Effects()
            then(entries, &effects)
            issue(effects, of: server)
        }
    }

    /// Answers a query from the entries that it needs, or looks it up again when they do not fit.
    private func finish(
        _ query: WaitingEntryRead.Query, _ pending: PendingRead, with entries: ReadEntries, of server: HostedServer
    ) {
        guard let link = links[query.link] else { return }
        markDirty(link)
        guard link.unsentBytes < Self.unsentBytesMax else {
            return reject([query.correlation], server: server.uid, Self.tooManyAnswers, on: link)
        }
        var isAnswered = false
        writeAnswer(query.correlation, at: query.context, from: server, to: link) { buffer in
            isAnswered = pending.finish(entries, &buffer)
            return isAnswered
        }
        if !isAnswered { lookUpAgain(query, of: server, for: link) }
    }

    private func lookUpAgain(_ query: WaitingEntryRead.Query, of server: HostedServer, for link: Link) {
        guard query.lookUps < Self.lookUpsMax else {
            let error = FlotillaError(.busy, "what the query needs changes faster than it is read")
            return reject([query.correlation], server: server.uid, error, on: link)
        }
        var again = query
        again.lookUps += 1
        again.context = queryContext(of: server)
        switch look(up: query.query, query.correlation, at: again.context, in: server, for: link) {
        case .answered: break
        case .unreadable: reject([query.correlation], server: server.uid, unreadableQuery(server), on: link)
        case .needs(let pending):
            let read = WaitingEntryRead(reader: .query(again), pending: pending)
            if !finishFromMemory(read, of: server) { fetchEntries(for: [read], of: server) }
        }
    }

    /// Says why entries can't be read.
    func refuse(_ read: WaitingEntryRead, of server: HostedServer, _ reason: String, _ code: FlotillaError.Code) {
        switch read.reader {
        case .query(let query):
            guard let link = links[query.link] else { return }
            let refusal = FlotillaError(code, "the query can't be answered: \(reason)")
            reject([query.correlation], server: server.uid, refusal, on: link)
        case .machine:
            output.events.append(.effectDropped(server.creation.id, reason: "its log can't be read: \(reason)"))
        }
    }
}
