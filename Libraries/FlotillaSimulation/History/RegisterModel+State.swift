extension RegisterModel {
    /// A register between two commands.
    package struct State: Hashable, Sendable {
        /// A value that is there.
        struct Content: Hashable, Sendable {
            /// `nil` for any value that no get has seen.
            var value: UInt64?
            /// Where it was put, if known.
            var index: UInt64?
            /// While the index is not known, it lies above this one.
            var above: UInt64 = 0
            /// While the index is not known, it lies below this one, if there is one.
            var below: UInt64?
        }

        /// `nil` when there is no value.
        var content: Content?
        /// The highest index of a command up to here. Index 0 is before all commands.
        var highest: UInt64 = 0

        /// Takes note that a command takes effect, and where if that is known.
        ///
        /// - Returns: whether that can be.
        mutating func pass(_ index: UInt64?) -> Bool {
            guard let index else { return true }
            guard index > highest else { return false }
            if content != nil, content?.index == nil, content?.below == nil { content?.below = index }
            highest = index
            return true
        }

        /// Puts a value in place, at the index that was passed last if it is known.
        mutating func store(_ value: UInt64?, at index: UInt64?) {
            content = Content(value: value, index: index, above: index == nil ? highest : 0)
        }

        /// Whether the present value was put at this index, or, with 0, there is none. If where it was put was not
        /// known, it is known now.
        mutating func isPresent(at index: UInt64) -> Bool {
            if index == 0 { return content == nil }
            return content != nil && matchIndex(index)
        }

        /// Whether the value that is there was put at this index. If that was not known, it is known now.
        mutating func matchIndex(_ index: UInt64) -> Bool {
            guard let known = content else { return false }
            if let knownIndex = known.index { return knownIndex == index }
            guard index > known.above, known.below.map({ index < $0 }) ?? true else { return false }
            content = Content(value: known.value, index: index)
            highest = max(highest, index)
            return true
        }
    }
}

extension RegisterModel.State: CustomStringConvertible {
    package var description: String {
        guard let content else { return "absent" }
        let value = content.value.map { "\($0)" } ?? "a value that no get has seen"
        return "\(value), put at \(content.index.map { "index \($0)" } ?? "an unknown index")"
    }
}
