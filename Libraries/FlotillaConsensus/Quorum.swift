import FlotillaWire

/// The arithmetic of majorities.
enum Quorum {
    /// How many of `voters` make a majority.
    static func size(voters: Int) -> Int { voters / 2 + 1 }

    /// The highest index that a majority has reached. Sorts the array; zero when there is no voter.
    ///
    /// - Parameter matches: how far each voter's log is the leader's and durable, one element a voter.
    static func reached(_ matches: inout [LogIndex]) -> LogIndex {
        guard !matches.isEmpty else { return .zero }
        matches.sort()
        return matches[(matches.count - 1) / 2]
    }
}
