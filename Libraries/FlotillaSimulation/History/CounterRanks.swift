/// What the totals of a counter that never falls tell about the order of its operations.
struct CounterRanks {
    /// What is known of one operation.
    enum Placement {
        /// It has an answer, and thereby a rank unless the answer can not be true.
        case completed(rank: UInt64?)
        /// Its outcome is unknown to its client, but others saw it, the first of them by this time.
        case shown(rank: UInt64, returned: UInt64)
        /// It may have taken effect or not.
        case open
        /// If it took effect, then after all that is known.
        case unseen
    }

    private struct Ranked {
        var total: Int64
        /// The amount goes in before the total is shown.
        var isShown: Bool
        var invoked: UInt64
        var place: Int
        var returned: UInt64
    }

    /// One for each operation of the history.
    private(set) var placements: [Placement]

    /// The placements in a history whose amounts are not negative. With `showsParts`, its amounts are distinct powers
    /// of two, so that each total shows what it is made of.
    init(_ history: [Operation<CounterModel.Input, Int64>], showsParts: Bool) {
        var ranked: [Ranked] = []
        for (place, operation) in history.enumerated() {
            guard let completion = operation.completion, completion.output >= 0 else { continue }
            ranked.append(
                Ranked(
                    total: completion.output, isShown: false, invoked: operation.invoked, place: place,
                    returned: completion.returned))
        }
        placements = history.map { $0.completion == nil ? .open : .completed(rank: nil) }
        if showsParts {
            for (place, operation) in history.enumerated() {
                guard operation.completion == nil, case .add(let amount) = operation.input else { continue }
                placements[place] = .unseen
                if let shown = Self.shown(amount, of: operation, at: place, by: ranked) { ranked.append(shown) }
            }
        }
        assign(&ranked)
    }

    /// An addition of unknown outcome stands right before the lowest total that has it. Of several there the order does
    /// not matter, since nothing comes between them, so it is that of their invocations.
    private static func shown(
        _ amount: Int64, of operation: Operation<CounterModel.Input, Int64>, at place: Int, by ranked: [Ranked]
    ) -> Ranked? {
        var shown: Ranked?
        for other in ranked where !other.isShown && other.total & amount != 0 {
            shown = Ranked(
                total: min(other.total, shown?.total ?? .max), isShown: true, invoked: operation.invoked, place: place,
                returned: min(other.returned, shown?.returned ?? .max))
        }
        return shown
    }

    private mutating func assign(_ ranked: inout [Ranked]) {
        ranked.sort { left, right in
            if left.total != right.total { return left.total < right.total }
            if left.isShown != right.isShown { return left.isShown }
            return left.invoked != right.invoked ? left.invoked < right.invoked : left.place < right.place
        }
        var rank: UInt64 = 0
        var last: Ranked?
        for operation in ranked {
            if last.map({ $0.isShown || operation.isShown || $0.total != operation.total }) ?? false { rank += 1 }
            placements[operation.place] =
                operation.isShown
                ? .shown(rank: rank, returned: operation.returned) : .completed(rank: rank)
            last = operation
        }
    }
}
