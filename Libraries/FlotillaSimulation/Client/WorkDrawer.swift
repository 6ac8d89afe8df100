/// Draws what clients ask, so that they collide: few keys, values that are unique, conditions on what was seen last.
final class WorkDrawer {
    private var random: Randomness
    private let keys: Int
    private var lastValue: UInt64 = 0
    /// How many amounts each counter has had: each is a power of two, so that a total tells which of them it holds.
    private var amounts: [Int: Int] = [:]
    /// The indexes at which clients last saw a key's value, by cluster and key.
    private var seen: [Int: [Int: UInt64]] = [:]

    init(seed: UInt64, keys: Int) {
        random = .of("work", seed: seed)
        self.keys = keys
    }

    private static let amountsMax = 60

    /// - Parameter progress: how much of the time is over, in thousandths.
    func draw(for machine: String, cluster: Int, progress: Int) -> ClientWork {
        lastValue += 1
        let key = random.number(0...(keys - 1))
        let die = random.number(0...99)
        switch machine {
        case "counter":
            let used = amounts[cluster] ?? 0
            // Spread over the whole time, since there are not many.
            guard die < 60, used < max(4, Self.amountsMax * progress / 1_000), used < Self.amountsMax else {
                return .total
            }
            amounts[cluster] = used + 1
            return .add(amount: 1 << Int64(used), mark: lastValue)
        case "list": return die < 60 ? .append(key: key, element: lastValue) : .read(key: key)
        default:
            if die < 35 { return .put(key: key, value: lastValue, ifIndex: nil) }
            if die < 55 { return .put(key: key, value: lastValue, ifIndex: seen[cluster]?[key] ?? 0) }
            return die < 65 ? .delete(key: key) : .get(key: key)
        }
    }

    /// Learns from an answer what a later condition may ask for.
    func learn(_ work: ClientWork, _ answer: ClientAnswer, cluster: Int) {
        switch (work, answer) {
        case (.put(let key, _, _), .stored(let index)), (.get(let key), .item(_, let index)),
            (.put(let key, _, _), .conflict(current: let index?)):
            seen[cluster, default: [:]][key] = index
        case (.get(let key), .absent), (.delete(let key), .deleted), (.put(let key, _, _), .conflict(current: nil)):
            seen[cluster, default: [:]][key] = 0
        default: break
        }
    }

    /// A write that everything must be able to take once all is well.
    func lastWrite(to machine: String) -> ClientWork {
        lastValue += 1
        switch machine {
        // Beyond the powers of two: a total that holds it is that of the end.
        case "counter": return .add(amount: 1 << 61, mark: lastValue)
        case "list": return .append(key: 0, element: lastValue)
        default: return .put(key: 0, value: lastValue, ifIndex: nil)
        }
    }

    /// The query that reads the end of everything.
    static func lastWord(of machine: String, key: Int) -> ClientWork {
        switch machine {
        case "counter": .total
        case "list": .read(key: key)
        default: .get(key: key)
        }
    }
}
