/// A 64-bit number that can be added to and read. It starts at zero and wraps around.
///
/// Checks are fast when no amount is negative and the sum stays in range, so that a total tells when it was true; and
/// take hardly any search at all when the amounts are distinct powers of two, so that a total tells what is in it.
package struct CounterModel: SequentialModel {
    /// What is asked of a counter.
    package enum Input: Hashable, Sendable, CustomStringConvertible {
        /// Add an amount and answer with the new total.
        case add(Int64)
        /// Answer with the total.
        case get

        package var description: String {
            switch self {
            case .add(let amount): "add \(amount)"
            case .get: "get"
            }
        }
    }

    /// What has happened to a counter, with the total where it is known.
    package enum Step: Hashable, Sendable {
        case add(Int64, total: Int64?)
        case get(Int64)
    }

    /// The totals before the completed additions, rising.
    private var beforeAdditions: [Int64] = []
    /// The totals that were read, rising.
    private var read: [Int64] = []
    private var isRising = false

    /// A counter at zero.
    package init() {}

    package var initial: Int64 { 0 }

    package func isReadOnly(_ step: Step) -> Bool {
        switch step {
        case .get, .add(0, total: _): true
        case .add: false
        }
    }

    package func state(after step: Step, in total: Int64) -> Int64? {
        switch step {
        case .get(let answer): return answer == total ? total : nil
        case .add(let amount, total: let answer?): return total &+ amount == answer ? answer : nil
        case .add(let amount, total: nil):
            guard !isRising || total + amount <= ceiling(of: total) else { return nil }
            return total &+ amount
        }
    }

    package mutating func prepare(_ history: [Operation<Input, Int64>]) -> [PreparedOperation<Step>?] {
        let amounts = history.compactMap { operation -> Int64? in
            guard case .add(let amount) = operation.input else { return nil }
            return amount
        }
        isRising = Self.neverFalls(amounts)
        guard isRising else { return history.map { prepared($0, rank: nil) } }
        noteTotals(of: history)
        let ranks = CounterRanks(history, showsParts: Self.areDistinctPowersOfTwo(amounts))
        return history.enumerated().map { place, operation in
            switch ranks.placements[place] {
            case .completed(let rank): prepared(operation, rank: rank)
            case .shown(let rank, let returned):
                prepared(operation, rank: rank).map {
                    PreparedOperation(step: $0.step, invoked: $0.invoked, returned: returned, rank: rank)
                }
            case .open: prepared(operation, rank: nil)
            case .unseen: nil
            }
        }
    }

    /// Without the operations that nothing can show: additions of nothing and reads, of unknown outcome.
    private func prepared(_ operation: Operation<Input, Int64>, rank: UInt64?) -> PreparedOperation<Step>? {
        let completion = operation.completion
        let step: Step
        switch operation.input {
        case .add(0) where completion == nil: return nil
        case .add(let amount): step = .add(amount, total: completion?.output)
        case .get:
            guard let completion else { return nil }
            step = .get(completion.output)
        }
        return PreparedOperation(step: step, invoked: operation.invoked, returned: completion?.returned, rank: rank)
    }

    /// Where totals never fall, a total that was left behind does not come back. So an addition of unknown outcome may
    /// reach but not pass the total before a completed addition, or a total that was read.
    private func ceiling(of total: Int64) -> Int64 {
        let addition = beforeAdditions.firstPlace { $0 >= total }
        let reading = read.firstPlace { $0 > total }
        return min(
            addition < beforeAdditions.count ? beforeAdditions[addition] : .max,
            reading < read.count ? read[reading] : .max)
    }

    private mutating func noteTotals(of history: [Operation<Input, Int64>]) {
        for operation in history {
            guard let total = operation.completion?.output else { continue }
            if case .add(let amount) = operation.input, amount > 0 {
                beforeAdditions.append(total &- amount)
            } else {
                read.append(total)
            }
        }
        beforeAdditions.sort()
        read.sort()
    }

    private static func neverFalls(_ amounts: [Int64]) -> Bool {
        var sum: Int64 = 0
        for amount in amounts {
            let (next, overflows) = sum.addingReportingOverflow(amount)
            if amount < 0 || overflows { return false }
            sum = next
        }
        return true
    }

    private static func areDistinctPowersOfTwo(_ amounts: [Int64]) -> Bool {
        var seen: Int64 = 0
        for amount in amounts {
            guard amount.nonzeroBitCount == 1, seen & amount == 0 else { return false }
            seen |= amount
        }
        return true
    }
}
