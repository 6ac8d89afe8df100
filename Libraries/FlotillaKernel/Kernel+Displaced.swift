import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Callers of a leader that lost its place, and whose entries have given way to another leader's.
extension Kernel {
    /// Sets callers aside whose entries are about to be removed from the log; their terms are still to be read there.
    func displace(_ places: [(index: LogIndex, waiter: PendingReplies.Waiter)], of server: HostedServer) {
        guard let first = places.first, let last = places.last else { return }
        let terms = terms(of: server, from: first.index, through: last.index)
        server.displaced.add(
            places.map { place in
                DisplacedReplies.Waiter(
                    index: place.index, term: terms[place.index - first.index], waiter: place.waiter)
            })
    }

    /// The terms of some entries that the table holds.
    private func terms(of server: HostedServer, from first: LogIndex, through last: LogIndex) -> [Term] {
        var terms: [Term] = []
        for slice in server.table.slices(from: first, through: last) {
            slice.withUnsafeReadableBytes { bytes in
                var position = 0
                while let base = bytes.baseAddress, position + EntryHeader.byteCount <= bytes.count,
                    let header = EntryHeader.loadTrusted(from: base + position)
                {
                    terms.append(header.term)
                    position += header.entryLength
                }
            }
        }
        precondition(terms.count == (last - first) + 1, "\(terms.count) entries from \(first) through \(last)")
        return terms
    }

    /// Answers those for whose place something is committed: what stands there now stands there for good.
    func answerDisplaced(of server: HostedServer) {
        for displaced in server.displaced.take(through: server.core.commitIndex) {
            // Where a snapshot stands for what is committed there, nobody can tell what it was.
            let term = server.core.logTerms.term(at: displaced.index)
            let error =
                term == nil || term == displaced.term
                ? FlotillaError(
                    .outcomeUnknown, "the command was displaced and may have come back: its outcome is not known")
                : FlotillaError(
                    .overwritten, "another leader's entry is committed at this command's place; it is never applied",
                    leader: server.name(of: server.core.leader))
            reject([displaced.waiter], by: server, error)
        }
    }
}
