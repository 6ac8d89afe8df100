import FlotillaSimulation

/// An object as plainly as it can be said, for histories of a few operations.
protocol PlainObject {
    associatedtype Input
    associatedtype Output
    associatedtype State

    var initial: State { get }
    /// The states that can follow; no output stands for an unknown outcome.
    func states(after input: Input, _ output: Output?, in state: State) -> [State]
}

/// Tries all orders of a history of one object, with each choice of the operations of unknown outcome.
struct BruteForce<Object: PlainObject> {
    var object: Object
    var history: [Operation<Object.Input, Object.Output>]

    func isLinearizable() -> Bool { canGoOn(from: object.initial, used: Set()) }

    private func canGoOn(from state: Object.State, used: Set<Int>) -> Bool {
        let left = history.indices.filter { !used.contains($0) }
        if left.allSatisfy({ history[$0].output == nil }) { return true }
        return left.contains { place in
            let operation = history[place]
            let isMinimal = left.allSatisfy { other in history[other].returned.map { $0 >= operation.invoked } ?? true }
            return isMinimal
                && object.states(after: operation.input, operation.output, in: state).contains { next in
                    canGoOn(from: next, used: used.union([place]))
                }
        }
    }
}

struct PlainCounter: PlainObject {
    let initial: Int64 = 0

    func states(after input: CounterModel.Input, _ output: Int64?, in state: Int64) -> [Int64] {
        let next: Int64
        switch input {
        case .get: next = state
        case .add(let amount): next = state &+ amount
        }
        return output == nil || output == next ? [next] : []
    }
}

struct PlainList: PlainObject {
    let initial: [UInt64] = []

    func states(after input: ListModel.Input, _ output: ListModel.Output?, in state: [UInt64]) -> [[UInt64]] {
        switch (input, output) {
        case (.read, nil): [state]
        case (.read, .elements(let elements)?): elements == state ? [state] : []
        case (.append(let element), nil), (.append(let element), .appended(length: nil)?): [state + [element]]
        case (.append(let element), .appended(length: let length?)?):
            length == state.count + 1 ? [state + [element]] : []
        default: []
        }
    }
}

/// A register that guesses the index of each command that does not tell it: one of those that the history mentions, or
/// one that it does not.
struct PlainRegister: PlainObject {
    struct State {
        var current: (value: UInt64, index: UInt64?)?
        var last: UInt64 = 0
    }

    let initial = State()
    private var mentioned: [UInt64?] = [nil]

    init(_ history: [Operation<RegisterModel.Input, RegisterModel.Output>]) {
        for operation in history {
            if case .put(_, let expected?) = operation.input { mentioned.append(expected) }
            switch operation.output {
            case .value(_, let index?): mentioned.append(index)
            case .conflict(let current?, _): mentioned.append(current)
            default: break
            }
        }
    }

    func states(after input: RegisterModel.Input, _ output: RegisterModel.Output?, in state: State) -> [State] {
        if case .get = input {
            switch output {
            case nil: return [state]
            case .absent?: return state.current == nil ? [state] : []
            case .value(let value, let index)?:
                guard let current = state.current, current.value == value else { return [] }
                return index == nil || index == current.index ? [state] : []
            default: return []
            }
        }
        let told: UInt64?
        switch output {
        case .stored(let index)?, .conflict(_, let index)?, .deleted(let index)?, .notFound(let index)?: told = index
        case nil: told = nil
        default: return []
        }
        return (told.map { [$0] } ?? mentioned).compactMap { index in
            if let index, index <= state.last { return nil }
            return apply(input, output, at: index, to: state)
        }
    }

    private func apply(
        _ input: RegisterModel.Input, _ output: RegisterModel.Output?, at index: UInt64?, to state: State
    ) -> State? {
        var next = State(current: state.current, last: index ?? state.last)
        switch input {
        case .get: return nil
        case .delete:
            next.current = nil
            switch output {
            case nil: return next
            case .deleted?: return state.current != nil ? next : nil
            case .notFound?: return state.current == nil ? next : nil
            default: return nil
            }
        case .put(let value, let expected):
            let succeeds = expected.map { $0 == 0 ? state.current == nil : isPut(state, at: $0) } ?? true
            if succeeds { next.current = (value, index) }
            switch output {
            case nil: return next
            case .stored?: return succeeds ? next : nil
            case .conflict(let current?, _)?: return !succeeds && isPut(state, at: current) ? next : nil
            case .conflict(nil, _)?: return !succeeds && state.current == nil ? next : nil
            default: return nil
            }
        }
    }

    private func isPut(_ state: State, at index: UInt64) -> Bool {
        guard let current = state.current else { return false }
        return current.index == index
    }
}
