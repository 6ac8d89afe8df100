import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// A query whose answer needs entries of the log.
struct WaitingEntryRead {
    /// Who asks.
    var link: LinkID
    var correlation: UInt64
    /// The query, to be looked up again where what was read does not fit.
    var query: ByteBuffer
    /// Up to where the state went when the query was looked up last.
    var context: QueryContext
    var pending: PendingRead
    /// How often it was looked up.
    var lookUps = 1
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

    /// Answers a query from the entries that it needs, or looks it up again when they do not fit.
    func finish(_ read: WaitingEntryRead, with entries: ReadEntries, of server: HostedServer) {
        guard let link = links[read.link] else { return }
        markDirty(link)
        guard link.unsentBytes < Self.unsentBytesMax else {
            return reject([read.correlation], server: server.uid, Self.tooManyAnswers, on: link)
        }
        var isAnswered = false
        writeAnswer(read.correlation, at: read.context, from: server, to: link) { buffer in
            isAnswered = read.pending.finish(entries, &buffer)
            return isAnswered
        }
        if !isAnswered { lookUpAgain(read, of: server, for: link) }
    }

    private func lookUpAgain(_ read: WaitingEntryRead, of server: HostedServer, for link: Link) {
        guard read.lookUps < Self.lookUpsMax else {
            let error = FlotillaError(.busy, "what the query needs changes faster than it is read")
            return reject([read.correlation], server: server.uid, error, on: link)
        }
        var again = read
        again.lookUps += 1
        again.context = queryContext(of: server)
        switch look(up: read.query, read.correlation, at: again.context, in: server, for: link) {
        case .answered: break
        case .unreadable: reject([read.correlation], server: server.uid, unreadableQuery(server), on: link)
        case .needs(let pending):
            again.pending = pending
            if !finishFromMemory(again, of: server) { fetchEntries(for: [again], of: server) }
        }
    }
}
