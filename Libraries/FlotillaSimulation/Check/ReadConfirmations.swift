import FlotillaWire

/// The rounds by which leaders make sure that they still lead before they answer queries, taken from the messages
/// (Ongaro 2014, section 6.4).
struct ReadConfirmations {
    private struct Round {
        var leader: ServerUID
        var term: Term
        var number: UInt64
        var start: UInt64
        /// The configuration that the leader went by when it began.
        var configuration: ClusterConfiguration
        var confirmed: [ServerUID]

        /// Whether a majority of some configuration's voters has confirmed the leader, itself included.
        func isConfirmed(in configuration: ClusterConfiguration) -> Bool {
            let voters = configuration.voters
            return voters.count { confirmed.contains($0.uid) } > voters.count / 2
        }
    }

    /// In the order in which they began.
    private var rounds: [ClusterID: [Round]] = [:]

    private func position(_ round: ReadRound, of leader: ServerUID, in cluster: ClusterID) -> Int? {
        rounds[cluster]?.lastIndex { $0.leader == leader && $0.term == round.term && $0.number == round.round }
    }

    /// A leader asks somebody to confirm it; the first such message of a round is its start.
    mutating func asked(
        _ round: ReadRound, from leader: ServerUID, of cluster: ClusterID, by configuration: ClusterConfiguration,
        at time: UInt64
    ) {
        guard position(round, of: leader, in: cluster) == nil else { return }
        rounds[cluster, default: []].append(
            Round(
                leader: leader, term: round.term, number: round.round, start: time, configuration: configuration,
                confirmed: [leader]))
    }

    /// Somebody confirms a leader.
    mutating func confirmed(_ round: ReadRound, by server: ServerUID, to leader: ServerUID, of cluster: ClusterID) {
        guard let position = position(round, of: leader, in: cluster) else { return }
        rounds[cluster]?[position].confirmed.append(server)
    }

    /// Whether some round began at `time` or later that a majority has confirmed, by the configuration of its start or,
    /// since that may have changed meanwhile, by one of `others`.
    func isConfirmed(_ cluster: ClusterID, since time: UInt64, others: [ClusterConfiguration]) -> Bool {
        (rounds[cluster] ?? []).reversed().prefix { $0.start >= time }.contains { round in
            round.isConfirmed(in: round.configuration) || others.contains { round.isConfirmed(in: $0) }
        }
    }
}
