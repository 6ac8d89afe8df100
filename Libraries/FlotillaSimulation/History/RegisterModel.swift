/// One key of a key-value machine: absent, or a value with the index in the log at which it was put. No value is put by
/// two operations.
///
/// The log is the order of effects, so the indexes that answers tell must rise from one command to the next.
package struct RegisterModel: SequentialModel {
    /// What is asked of a register.
    package enum Input: Hashable, Sendable {
        /// Answer with the value.
        case get
        /// Store a value; with `ifIndex` only if the present value was put there, or, with 0, only if there is none.
        case put(UInt64, ifIndex: UInt64? = nil)
        /// Remove the value.
        case delete
    }

    /// What a register answers. An index by itself is that of the command; it is `nil` when the answer does not tell.
    package enum Output: Hashable, Sendable {
        /// The value is this; it was put at the index.
        case value(UInt64, index: UInt64?)
        /// There is no value.
        case absent
        /// The value is stored.
        case stored(index: UInt64?)
        /// Nothing was stored, because the present value was put at `current`, or, with `nil`, there is none.
        case conflict(current: UInt64?, index: UInt64?)
        /// The value is removed.
        case deleted(index: UInt64?)
        /// There was no value to remove.
        case notFound(index: UInt64?)
    }

    /// What has happened to a register. An index by itself is that of the command, if known.
    package enum Step: Hashable, Sendable {
        case value(UInt64, putAt: UInt64?)
        case absent
        case store(UInt64?, ifIndex: UInt64?, index: UInt64?)
        case conflict(expected: UInt64, current: UInt64?, index: UInt64?)
        case remove(wasPresent: Bool, index: UInt64?)
        /// What can not have happened.
        case impossible
    }

    /// A register without a value.
    package init() {}

    package var initial: State { State() }

    package func isReadOnly(_ step: Step) -> Bool {
        switch step {
        case .value, .absent, .conflict, .remove(wasPresent: false, index: _), .impossible: true
        case .store, .remove: false
        }
    }

    package func state(after step: Step, in state: State) -> State? {
        var state = state
        switch step {
        case .impossible: return nil
        case .absent: return state.content == nil ? state : nil
        case .value(let value, let index):
            guard let content = state.content, content.value == value else { return nil }
            if let index, !state.matchIndex(index) { return nil }
        case .store(let value, let expected, let index):
            if let expected, !state.isPresent(at: expected) { return nil }
            if !state.pass(index) { return nil }
            state.store(value, at: index)
        case .conflict(let expected, let current, let index):
            if (current ?? 0) == expected || !state.isPresent(at: current ?? 0) || !state.pass(index) { return nil }
        case .remove(let wasPresent, let index):
            if (state.content != nil) != wasPresent || !state.pass(index) { return nil }
            state.content = nil
        }
        return state
    }

    package mutating func prepare(_ history: [Operation<Input, Output>]) -> [PreparedOperation<Step>?] {
        let sightings = RegisterSightings(history)
        return history.map { operation in
            switch (operation.input, operation.completion) {
            case (.get, nil): return nil
            case (.delete, nil):
                let step = Step.remove(wasPresent: true, index: nil)
                return PreparedOperation(step: step, invoked: operation.invoked, returned: nil)
            case (.put(let value, let expected), nil):
                let sighting = sightings.ofOnlyPut(value)
                let step = Step.store(
                    sightings.isSeen(value) ? value : nil, ifIndex: expected, index: sighting?.index)
                return PreparedOperation(
                    step: step, invoked: operation.invoked, returned: sighting?.returned, rank: sighting?.index)
            case (let input, let completion?):
                let (step, rank) = Self.step(input, completion.output, sightings)
                return PreparedOperation(
                    step: step, invoked: operation.invoked, returned: completion.returned, rank: rank)
            }
        }
    }

    /// What has happened, and at which index in the log. Values that were never seen are all the same.
    private static func step(
        _ input: Input, _ output: Output, _ sightings: RegisterSightings
    ) -> (Step, index: UInt64?) {
        switch (input, output) {
        case (.get, .value(let value, let index)): return (.value(value, putAt: index), nil)
        case (.get, .absent): return (.absent, nil)
        case (.put(let value, let expected), .stored(let known)):
            let index = known ?? sightings.ofOnlyPut(value)?.index
            return (.store(sightings.isSeen(value) ? value : nil, ifIndex: expected, index: index), index)
        case (.put(_, let expected?), .conflict(let current, let index)):
            return (.conflict(expected: expected, current: current, index: index), index)
        case (.delete, .deleted(let index)): return (.remove(wasPresent: true, index: index), index)
        case (.delete, .notFound(let index)): return (.remove(wasPresent: false, index: index), index)
        default: return (.impossible, nil)
        }
    }
}

extension RegisterModel.Input: CustomStringConvertible {
    package var description: String {
        switch self {
        case .get: "get"
        case .put(let value, ifIndex: nil): "put \(value)"
        case .put(let value, ifIndex: 0?): "put \(value) if absent"
        case .put(let value, let expected?): "put \(value) if at index \(expected)"
        case .delete: "delete"
        }
    }
}

extension RegisterModel.Output: CustomStringConvertible {
    package var description: String {
        func text(_ index: UInt64?) -> String { index.map { " at index \($0)" } ?? "" }
        switch self {
        case .value(let value, let index): return "\(value)\(index.map { " put at index \($0)" } ?? "")"
        case .absent: return "absent"
        case .stored(let index): return "stored\(text(index))"
        case .conflict(let current, let index):
            return "conflict\(text(index)), \(current.map { "now put at index \($0)" } ?? "now absent")"
        case .deleted(let index): return "deleted\(text(index))"
        case .notFound(let index): return "not found\(text(index))"
        }
    }
}
