import FlotillaWire

/// Which entries a server's newest snapshot needs, and which of them are not where they should be.
struct LiveEntries {
    private let live: LiveIndexes
    private let segments: SegmentSet?
    /// What is in the write-ahead log.
    private let logged: (first: LogIndex, last: LogIndex)
    private var lost: [LogIndex] = []

    /// - Parameters:
    ///   - live: what the snapshot needs.
    ///   - server: the server with its files; `nil` where the write-ahead log does not know it, and nothing is needed.
    init(_ live: LiveIndexes, _ server: RecoveredServer?) {
        self.live = server == nil ? LiveIndexes() : live
        segments = server?.files?.segments
        logged = (server?.entries.firstIndex ?? .zero, server?.entries.lastIndex ?? .zero)
        guard let segments else { return }
        // What a damaged segment held is told as its damage.
        let unreadable = segments.members.filter { !$0.segment.isReadable }.compactMap(\.range)
        lost = self.live.ascending.filter { index in
            !isLogged(index) && segments.lookUp(index) == nil && !unreadable.contains { $0.contains(index) }
        }
    }

    private func isLogged(_ index: LogIndex) -> Bool { index >= logged.first && index <= logged.last }

    /// What a segment must hold.
    func wanted(of number: UInt64) -> [LogIndex] {
        guard let slice = segments?.shown.first(where: { $0.segment.number == number }) else { return [] }
        return live.within(slice.range.lowerBound, through: slice.range.upperBound).filter { !isLogged($0) }
    }

    /// Takes note of what a segment should hold and does not.
    mutating func add(missing: [LogIndex]) { lost += missing }

    /// What is missing: stretches in which all that is needed is missing, and how many entries of each.
    var missing: [(range: ClosedRange<LogIndex>, count: Int)] {
        let sorted = LiveIndexes(lost).ascending
        var stretches: [(range: ClosedRange<LogIndex>, count: Int)] = []
        for index in sorted {
            if let last = stretches.last, live.within(last.range.lowerBound, through: index).count == last.count + 1 {
                stretches[stretches.count - 1] = (last.range.lowerBound...index, last.count + 1)
            } else {
                stretches.append((index...index, 1))
            }
        }
        return stretches
    }
}
