/// A list that can be appended to and read as a whole. It starts empty. No element is appended by two operations.
///
/// The state is a place in the tree of all lists that were read, whose edges are elements. What is appended beyond the
/// tree is seen by no read, so that only its length counts.
package struct ListModel: SequentialModel {
    /// What is asked of a list.
    package enum Input: Hashable, Sendable, CustomStringConvertible {
        /// Put an element at the end.
        case append(UInt64)
        /// Answer with all elements.
        case read

        package var description: String {
            switch self {
            case .append(let element): "append \(element)"
            case .read: "read"
            }
        }
    }

    /// What a list answers.
    package enum Output: Hashable, Sendable, CustomStringConvertible {
        /// The element is the last of so many; `nil` when the answer does not tell.
        case appended(length: Int?)
        /// All elements in their order.
        case elements([UInt64])

        package var description: String {
            switch self {
            case .appended(length: nil): return "appended"
            case .appended(length: let length?): return "appended as number \(length)"
            case .elements(let elements):
                guard elements.count > 8 else { return "\(elements)" }
                let last = elements.suffix(4).map { "\($0)" }.joined(separator: ", ")
                return "[\(elements[0]), ..., \(last)], in all \(elements.count)"
            }
        }
    }

    /// A place in the tree of the lists that were read, or beyond it, with the length of the list.
    package struct State: Hashable, Sendable, CustomStringConvertible {
        /// `nil` beyond the tree.
        var node: Int?
        var length: Int

        package var description: String {
            "a list of \(length)\(node == nil ? ", with elements at its end that no read shows" : "")"
        }
    }

    /// What has happened to a list.
    package enum Step: Hashable, Sendable {
        /// An element was appended: one of those that were read, or `nil`. The length after it may be known.
        case append(seen: Int?, length: Int?)
        /// The list at a node of the tree was read.
        case read(node: Int)
        /// What can not have happened.
        case impossible
    }

    private var tree = ListTree()

    /// An empty list.
    package init() {}

    package var initial: State { State(node: 0, length: 0) }

    package func isReadOnly(_ step: Step) -> Bool {
        switch step {
        case .read, .impossible: true
        case .append: false
        }
    }

    package func state(after step: Step, in state: State) -> State? {
        switch step {
        case .impossible: return nil
        case .read(let node): return state.node == node ? state : nil
        case .append(let element, let length):
            guard length == nil || length == state.length + 1 else { return nil }
            guard let node = state.node else { return State(node: nil, length: state.length + 1) }
            if let element, let child = tree.child(of: node, element) {
                return State(node: child, length: state.length + 1)
            }
            // Each read whose place in the tree lies further on is still to come, but would not come to pass.
            return tree.hasChildren(node) ? nil : State(node: nil, length: state.length + 1)
        }
    }

    package mutating func prepare(_ history: [Operation<Input, Output>]) -> [PreparedOperation<Step>?] {
        let reads = history.compactMap { operation -> ListTree.Read? in
            guard case .read = operation.input, let completion = operation.completion,
                case .elements(let elements) = completion.output
            else { return nil }
            return ListTree.Read(elements: elements, returned: completion.returned)
        }
        tree = ListTree(reads)
        var appenders: [UInt64: Int] = [:]
        for case .append(let element) in history.map(\.input) { appenders[element, default: 0] += 1 }
        return history.map { operation in
            switch operation.input {
            case .read: prepareRead(operation)
            case .append(let element): prepareAppend(of: element, operation, isUnique: appenders[element] == 1)
            }
        }
    }

    /// Reads of unknown outcome are left out, since they change nothing.
    private func prepareRead(_ operation: Operation<Input, Output>) -> PreparedOperation<Step>? {
        guard let completion = operation.completion else { return nil }
        guard case .elements(let elements) = completion.output else {
            return PreparedOperation(step: .impossible, invoked: operation.invoked, returned: completion.returned)
        }
        return PreparedOperation(
            step: .read(node: tree.node(of: elements)), invoked: operation.invoked, returned: completion.returned,
            rank: UInt64(elements.count))
    }

    /// An append whose element was read has taken effect before that read returned. Lists only grow, so its place
    /// there, or the length in its answer, is its rank.
    private func prepareAppend(
        of element: UInt64, _ operation: Operation<Input, Output>, isUnique: Bool
    ) -> PreparedOperation<Step>? {
        let seen = tree.seen(element)
        let place = isUnique ? seen?.place.map { $0 + 1 } : nil
        guard let completion = operation.completion else {
            return PreparedOperation(
                step: .append(seen: seen?.number, length: nil), invoked: operation.invoked,
                returned: isUnique ? seen?.returned : nil,
                rank: place.map { UInt64($0) })
        }
        guard case .appended(let length) = completion.output else {
            return PreparedOperation(step: .impossible, invoked: operation.invoked, returned: completion.returned)
        }
        return PreparedOperation(
            step: .append(seen: seen?.number, length: length), invoked: operation.invoked,
            returned: completion.returned, rank: (length ?? place).flatMap { UInt64(exactly: $0) })
    }
}
