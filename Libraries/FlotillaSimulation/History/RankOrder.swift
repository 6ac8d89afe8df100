/// The order that the ranks of operations demand, and how far the search has come in it.
struct RankOrder {
    private let level: [Int?]
    private var missing: [Int]
    private var current = 0

    /// The order of operations of these ranks, with none of them placed.
    init(_ ranks: [UInt64?]) {
        let sorted = ranks.compactMap { $0 }.sorted()
        var distinct: [UInt64] = []
        missing = []
        for rank in sorted {
            if distinct.last == rank {
                missing[missing.count - 1] += 1
            } else {
                distinct.append(rank)
                missing.append(1)
            }
        }
        level = ranks.map { rank in rank.map { Self.place(of: $0, in: distinct) } }
    }

    /// Whether all operations of lower rank are placed.
    func allows(_ operation: Int) -> Bool { level[operation].map { $0 == current } ?? true }

    /// Counts an operation as placed, which is allowed.
    mutating func place(_ operation: Int) {
        guard let level = level[operation] else { return }
        missing[level] -= 1
        while current < missing.count && missing[current] == 0 { current += 1 }
    }

    /// Takes back the operation that was placed last.
    mutating func takeBack(_ operation: Int) {
        guard let level = level[operation] else { return }
        missing[level] += 1
        current = level
    }

    /// Whether an operation is of the lowest rank of which some are missing.
    func isNext(_ operation: Int) -> Bool { level[operation] == current }

    /// Where a rank that is there stands in a sorted array.
    private static func place(of rank: UInt64, in sorted: [UInt64]) -> Int { sorted.firstPlace { $0 >= rank } }
}

extension Array {
    /// The first place whose element has a property that all elements after it have too; the count when none has.
    func firstPlace(where holds: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
