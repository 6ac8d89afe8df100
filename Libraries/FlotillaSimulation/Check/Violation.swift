/// Something that must never happen and has happened.
package struct Violation: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was broken.
    package enum Rule: String, Sendable, CaseIterable {
        case electionSafety = "election safety"
        case logMatching = "log matching"
        case leaderCompleteness = "leader completeness"
        case stateMachineSafety = "state machine safety"
        case committedIsFinal = "what is committed stays"
        case monotonic = "terms and commit indexes never fall"
        case promise = "a promise to another server is kept across a crash"
        case durability = "what was acknowledged is there"
        case linearizability = "linearizability"
        case liveness = "liveness"
        case recovery = "recovery"
        case invariant = "an invariant of the consensus core"
        case kernel = "the kernel"
        case client = "the client protocol"
    }

    package var rule: Rule
    /// What happened, for people.
    package var text: String

    package init(_ rule: Rule, _ text: String) {
        self.rule = rule
        self.text = text
    }

    /// The rule and what happened.
    package var description: String { "\(rule.rawValue): \(text)" }
}
