/// What the gets of a history tell of the puts whose values they saw.
struct RegisterSightings {
    /// What gets tell of one value.
    struct Sighting {
        /// By when the value was there.
        var returned: UInt64
        /// Where it was put; `nil` when no get tells, or when they differ.
        var index: UInt64?
        fileprivate var differs = false
    }

    private var seen: [UInt64: Sighting] = [:]
    private var puts: [UInt64: Int] = [:]

    /// What is seen in a history.
    init(_ history: [Operation<RegisterModel.Input, RegisterModel.Output>]) {
        for operation in history {
            if case .put(let value, _) = operation.input { puts[value, default: 0] += 1 }
            guard case .get = operation.input, let completion = operation.completion,
                case .value(let value, let index) = completion.output
            else { continue }
            note(value, index: index, returned: completion.returned)
        }
    }

    /// Whether a get has seen the value.
    func isSeen(_ value: UInt64) -> Bool { seen[value] != nil }

    /// What is seen of the put of a value; `nil` when nothing is, or when several operations put this value, so that
    /// it is open which of them was seen.
    func ofOnlyPut(_ value: UInt64) -> Sighting? { puts[value] == 1 ? seen[value] : nil }

    private mutating func note(_ value: UInt64, index: UInt64?, returned: UInt64) {
        guard var known = seen[value] else {
            seen[value] = Sighting(returned: returned, index: index)
            return
        }
        known.returned = min(known.returned, returned)
        if let index, !known.differs {
            known.differs = known.index.map { $0 != index } ?? false
            known.index = known.differs ? nil : index
        }
        seen[value] = known
    }
}
