/// What a server is at the moment.
public enum Role: Equatable, Hashable, Sendable {
    /// Takes entries from a leader, or waits for one.
    case follower
    /// Asks the voters whether they would vote for it, before it raises its term (Ongaro 2014, section 9.6).
    case preCandidate
    /// Seeks votes in its term.
    case candidate
    /// Leads its term.
    case leader
}
