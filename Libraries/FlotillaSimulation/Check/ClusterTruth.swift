import FlotillaWire

/// What is known to be true of one cluster, whatever its members believe.
final class ClusterTruth {
    /// A committed entry.
    struct Line {
        var term: Term
        var checksum: UInt32
        /// The term in which somebody first knew it to be committed.
        var committedIn: Term
    }

    private struct Place: Hashable {
        var index: UInt64
        var term: UInt64
    }

    /// The committed log from index 1 on.
    private(set) var committed: [Line] = []
    private var campaigned: Set<Term> = []
    private var leaders: [Term: (uid: ServerUID, host: Int)] = [:]
    /// By index and term: the entry there and the term of the one before it. Two logs with the same index and term are
    /// the same up to there (log matching), so there is only one such entry, and only one such predecessor.
    private var entries: [Place: (checksum: UInt32, previous: Term)] = [:]

    /// Where the cluster has ended, as whoever deleted a server has said.
    private var end: (index: LogIndex, term: Term)?

    /// Notes that a server was deleted because the cluster has ended: some log must have an end there, and nothing else
    /// is ever committed in its place.
    func ends(at index: LogIndex, in term: Term, on host: Int) throws(Violation) {
        let checksum = UInt32(EntryKind.endOfLife.rawValue) << 24
        guard entries[Place(index: index.rawValue, term: term.rawValue)]?.checksum == checksum else {
            throw Violation(
                .committedIsFinal, "n\(host + 1) deletes a server at \(index) in term \(term), where no cluster ends")
        }
        guard end.map({ $0 == (index, term) }) ?? true, line(at: index).map({ $0.term == term }) ?? true else {
            throw Violation(
                .committedIsFinal, "n\(host + 1) deletes a server at \(index), where something else is committed")
        }
        end = (index, term)
    }

    private func line(at index: LogIndex) -> Line? {
        index <= lastCommitted ? committed[Int(index.rawValue) - 1] : nil
    }

    var lastCommitted: LogIndex { LogIndex(UInt64(committed.count)) }

    /// Notes that somebody campaigns in a term, or did.
    func campaigns(in term: Term) { campaigned.insert(term) }

    /// Notes that a server is in a term: somebody must have opened it by campaigning.
    func enters(_ term: Term, on host: Int) throws(Violation) {
        guard term > .zero, !campaigned.contains(term) else { return }
        throw Violation(.electionSafety, "n\(host + 1) is in term \(term), in which nobody has campaigned")
    }

    /// Notes who leads a term.
    func leads(_ uid: ServerUID, on host: Int, in term: Term) throws(Violation) {
        if let known = leaders[term], known.uid != uid {
            throw Violation(.electionSafety, "n\(known.host + 1) and n\(host + 1) both lead term \(term)")
        }
        leaders[term] = (uid, host)
    }

    /// Notes an entry of some log.
    func holds(_ entry: LogLine, at index: LogIndex, previous: Term, on host: Int) throws(Violation) {
        let place = Place(index: index.rawValue, term: entry.term.rawValue)
        guard let known = entries[place] else {
            entries[place] = (entry.checksum, previous)
            return
        }
        guard known.checksum == entry.checksum, known.previous == previous else {
            throw Violation(
                .logMatching,
                "the log of n\(host + 1) has another entry \(index) of term \(entry.term), or another before it, "
                    + "than some other log")
        }
    }

    /// Notes that a server in some term holds an entry for committed.
    func commits(_ entry: LogLine, at index: LogIndex, by host: Int, in term: Term) throws(Violation) {
        let position = Int(index.rawValue) - 1
        guard position < committed.count else {
            if let end, end.index == index, end.term != entry.term {
                throw Violation(
                    .committedIsFinal,
                    "n\(host + 1) commits another entry at \(index), where its cluster has ended in term \(end.term)")
            }
            committed.append(Line(term: entry.term, checksum: entry.checksum, committedIn: term))
            return
        }
        let known = committed[position]
        guard known.term == entry.term, known.checksum == entry.checksum else {
            throw Violation(
                .committedIsFinal,
                "n\(host + 1) commits an entry of term \(entry.term) at \(index), where one of term \(known.term) "
                    + "was committed in term \(known.committedIn)")
        }
    }

    /// Whether a new leader's log has all that was committed in earlier terms (Ongaro and Ousterhout 2014, 5.4).
    func elects(_ log: [LogLine], on host: Int, in term: Term) throws(Violation) {
        for (position, line) in committed.enumerated() where line.committedIn < term {
            guard position < log.count else {
                throw Violation(
                    .leaderCompleteness,
                    "n\(host + 1) leads term \(term) with a log through \(log.count), but \(position + 1) was "
                        + "committed in term \(line.committedIn)")
            }
            guard log[position] != .covered else { continue }
            guard log[position].term == line.term, log[position].checksum == line.checksum else {
                throw Violation(
                    .leaderCompleteness,
                    "n\(host + 1) leads term \(term) with another entry \(position + 1) than was committed in term "
                        + "\(line.committedIn)")
            }
        }
    }
}
