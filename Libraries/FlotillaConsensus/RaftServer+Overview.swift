import FlotillaWire

extension RaftServer {
    /// The latest term that it has seen.
    public var term: Term { hardState.term }
    /// The latest term that is on disk.
    public var durableTerm: Term { durableHardState.term }
    /// The index of the last entry, durable or not.
    public var lastIndex: LogIndex { logTerms.lastIndex }
    /// The term of the last entry.
    public var lastTerm: Term { logTerms.lastTerm }
    /// The log is durable here through this index.
    public var durableIndex: LogIndex { durableLog.index }
    /// How often the log was truncated since the start; what is appended now carries it.
    public var logEpoch: LogEpoch { durableLog.epoch }
    /// The latest configuration in the log, committed or not: it is in force.
    public var configuration: ClusterConfiguration { configurations.latest.configuration }
    /// Where in the log that is.
    public var configurationIndex: LogIndex { configurations.latest.index }
    /// The index of the latest committed configuration.
    public var committedConfigurationIndex: LogIndex { configurations.committed(at: commitIndex).index }
    /// The latest committed configuration.
    public var committedConfiguration: ClusterConfiguration {
        configurations.committed(at: commitIndex).configuration
    }

    /// The configuration that was in force at a committed index, and where it stands; `nil` when that is forgotten.
    public func configuration(
        at index: LogIndex
    ) -> (index: LogIndex, configuration: ClusterConfiguration)? {
        guard index <= commitIndex else { return nil }
        return configurations.items.last { $0.index <= index }
    }

    /// Whether it is no member any more, as far as it knows: it was one, and was told otherwise, or a committed
    /// configuration does not name it. A server that was never named yet is not removed, nor is one that leads.
    public var isRemoved: Bool { role != .leader && (removedAt != nil || isOutside) }

    /// Whether it leads and knows how far the log is committed: the noop that began its term is.
    public var readyToServe: Bool { role == .leader && commitIndex >= noopIndex }

    /// To whom this leader is handing leadership at the moment.
    public var transferTarget: ServerUID? { role == .leader ? transfer?.target : nil }

    /// What it knows about the other members; most of it means something on a leader only.
    public var peerOverview: [PeerOverview] {
        peers.map { peer in
            PeerOverview(
                uid: peer.uid, isVoter: peer.isVoter, isUp: peer.isUp, isHeard: peer.isHeard,
                state: peer.progress.state, match: peer.progress.match, next: peer.progress.next,
                inFlightEntries: peer.progress.inFlightEntries, inFlightBytes: peer.progress.inFlightBytes)
        }
    }
}

extension RaftServer: CustomStringConvertible {
    /// All that decides, on one line, for messages about a broken invariant.
    public var description: String {
        """
        \(uid) \(role) term \(term) vote \(hardState.vote?.description ?? "none") \
        durable (\(durableHardState.term), \(durableHardState.vote?.description ?? "none")) \
        leader \(leader?.description ?? "none") heard \(isLeaderHeard) log \(logTerms) commit \(commitIndex) \
        end \(endIndex?.description ?? "none") \
        durable \(durableLog) verified \(verified) acknowledged \(acknowledged) noop \(noopIndex) \
        configurations at \(configurations.items.map(\.index)) peers \(peers)
        """
    }
}

extension RaftServer {
    /// Whether another server counts as up: its node is connected, and it was not said to be gone since.
    public func isUp(_ uid: ServerUID) -> Bool { upServers.contains(uid) }
}
