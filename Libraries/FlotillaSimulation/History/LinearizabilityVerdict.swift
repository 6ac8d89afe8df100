/// What the checker found out about the history of one object, or of all.
package enum LinearizabilityVerdict: Equatable, Sendable {
    /// There is an order of the operations that explains each answer and breaks no real-time order.
    case linearizable
    /// There is none.
    case violated(LinearizabilityViolation)
    /// The search was given up after so many configurations; the history may be good or bad.
    case undecided(configurations: Int)
}

/// Why a history is not linearizable, for the person who reads it.
package struct LinearizabilityViolation: Equatable, Sendable, CustomStringConvertible {
    /// The object.
    package var key: String
    /// Places in the checked history: the longest order that explains all its answers.
    package var placed: [Int]
    /// Places in the checked history: the operations of which one had to come next but none could. The first of them
    /// is the one that returned first.
    package var unplaced: [Int]
    /// A few lines with all of this.
    package var description: String
}

/// The verdicts on a history.
package struct LinearizabilityReport: Sendable {
    /// The verdict on one object.
    package struct Part: Sendable {
        /// The object.
        package var key: String
        /// What was found out.
        package var verdict: LinearizabilityVerdict
        /// How many configurations the search went through.
        package var configurations: Int
    }

    /// One for each object, in the order in which the history first names them.
    package var parts: [Part]

    /// The first violation; without one, the first object that is undecided; otherwise linearizable.
    package var verdict: LinearizabilityVerdict {
        var verdict = LinearizabilityVerdict.linearizable
        for part in parts {
            switch part.verdict {
            case .violated: return part.verdict
            case .undecided: if verdict == .linearizable { verdict = part.verdict }
            case .linearizable: break
            }
        }
        return verdict
    }

    /// All violations.
    package var violations: [LinearizabilityViolation] {
        parts.compactMap { part in
            guard case .violated(let violation) = part.verdict else { return nil }
            return violation
        }
    }

    /// How many configurations the search went through in all objects.
    package var configurations: Int { parts.reduce(0) { $0 + $1.configurations } }
}
