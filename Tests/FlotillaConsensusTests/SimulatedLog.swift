import FlotillaConsensus
import FlotillaWire

/// An entry as the tests see it: its term, an identity by which two entries of one term can be told apart, and the
/// configuration if it is one.
struct SimulatedEntry: Equatable {
    var term: Term
    var id: Int
    var configuration: ClusterConfiguration?
    /// Whether it ends the cluster.
    var isEnd = false
}

/// One server's log and its disk. Writes reach the disk in order, when the test lets them; a crash loses the others.
struct SimulatedLog: LogExtents {
    enum Write {
        case hardState(HardState)
        case truncate(from: LogIndex)
        case append([SimulatedEntry], epoch: LogEpoch, through: LogIndex)
    }

    static let entryBytes = 100

    var entries: [SimulatedEntry] = []
    var diskEntries: [SimulatedEntry] = []
    var diskHardState = HardState.initial
    var pending: [Write] = []
    /// Applied and remembered before a crash.
    var commitFloor: LogIndex = .zero
    var initialConfiguration: ClusterConfiguration
    /// The entries that a durable snapshot covers. The model keeps them; the server forgets them.
    var snapshot: [SimulatedEntry] = []
    /// Entries before this one are not in memory.
    var memoryStart: LogIndex = 1
    /// From where on entries were fetched into memory.
    var fetched: LogIndex?

    func extent(from first: LogIndex, through last: LogIndex, bytes: Int) -> (through: LogIndex, bytes: Int)? {
        guard first >= memoryStart || fetched.map({ first >= $0 }) == true else { return nil }
        let count = min(last - first + 1, max(1, bytes / Self.entryBytes))
        return (first + (count - 1), count * Self.entryBytes)
    }

    func slice(after previous: LogIndex, count: Int) -> [SimulatedEntry] {
        let start = Int(previous.rawValue)
        return Array(entries[start..<start + count])
    }

    mutating func append(_ new: [SimulatedEntry], epoch: LogEpoch) {
        entries += new
        pending.append(.append(new, epoch: epoch, through: LogIndex(UInt64(entries.count))))
    }

    mutating func truncate(from: LogIndex) {
        entries.removeSubrange(Int(from.rawValue) - 1..<entries.count)
        pending.append(.truncate(from: from))
    }

    /// Brings the oldest write to the disk; the event that tells of it, if there is one.
    mutating func completeWrite() -> Event? {
        switch pending.removeFirst() {
        case .hardState(let state):
            diskHardState = state
            return .hardStateDurable(state)
        case .truncate(let from):
            diskEntries.removeSubrange(Int(from.rawValue) - 1..<diskEntries.count)
            return nil
        case .append(let new, let epoch, let through):
            diskEntries += new
            return .entriesDurable(epoch: epoch, through: through)
        }
    }

    /// What a crash leaves.
    mutating func crash() {
        pending = []
        if diskEntries.count < snapshot.count { diskEntries = snapshot }
        entries = diskEntries
        commitFloor = min(commitFloor, LogIndex(UInt64(entries.count)))
    }

    /// The end of the snapshot.
    var base: LogIndex { LogIndex(UInt64(snapshot.count)) }

    /// Takes a durable snapshot of the first entries.
    mutating func compact(through index: LogIndex) {
        if index > base { snapshot = Array(entries.prefix(Int(index.rawValue))) }
    }

    /// The whole log makes way for the snapshot. Writes that are on their way end without effect.
    mutating func reset() {
        entries = snapshot
        diskEntries = snapshot
        pending = pending.compactMap { write in
            switch write {
            case .hardState: write
            case .truncate: nil
            case .append(_, let epoch, let through): .append([], epoch: epoch, through: through)
            }
        }
    }

    /// The configuration that is in force at the end of some entries from the first on.
    func configuration(of prefix: [SimulatedEntry]) -> (index: LogIndex, configuration: ClusterConfiguration) {
        prefix.configurations(after: .zero).last ?? (.zero, initialConfiguration)
    }

    var recovered: RecoveredState {
        var terms = LogTerms(baseIndex: base, baseTerm: snapshot.last?.term ?? .zero)
        var configurations = [configuration(of: snapshot)]
        for (offset, entry) in entries.enumerated().dropFirst(snapshot.count) {
            terms.append(count: 1, term: entry.term)
            if let configuration = entry.configuration {
                configurations.append((LogIndex(UInt64(offset + 1)), configuration))
            }
        }
        return RecoveredState(
            hardState: diskHardState, logTerms: terms, configurations: configurations,
            commitFloor: max(commitFloor, base),
            endIndex: entries.firstIndex(where: \.isEnd).map { LogIndex(UInt64($0 + 1)) })
    }
}

extension Array where Element == SimulatedEntry {
    /// The terms, as in the figures of the Raft paper: `1 1 4 5`.
    var text: String { map(\.term.description).joined(separator: " ") }

    /// The runs of terms, the first entry standing behind `previous`.
    func runs(after previous: LogIndex) -> [TermRun] {
        var runs: [TermRun] = []
        for (offset, entry) in enumerated() where runs.last?.term != entry.term {
            runs.append(TermRun(first: previous + (offset + 1), term: entry.term))
        }
        return runs
    }

    /// Where among them the cluster ends.
    func end(after previous: LogIndex) -> LogIndex? { firstIndex(where: \.isEnd).map { previous + ($0 + 1) } }

    /// The configurations among them.
    func configurations(after previous: LogIndex) -> [(index: LogIndex, configuration: ClusterConfiguration)] {
        enumerated().compactMap { offset, entry in entry.configuration.map { (previous + (offset + 1), $0) } }
    }
}
