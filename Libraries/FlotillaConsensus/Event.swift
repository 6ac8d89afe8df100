import FlotillaWire

/// What can happen to a server.
public enum Event: Sendable {
    /// The deadline has passed.
    case tick
    /// A message came; `appendEntries` has an event of its own.
    case message(ConsensusMessage, from: ServerUID)
    /// An `AppendEntries` came. `terms` covers exactly the entries that came with it, whose checksums and consecutive
    /// indexes the caller has verified; `configurations` are those among them, and `end` is the first among them that
    /// ends the cluster.
    case appendEntries(
        AppendEntries, from: ServerUID, terms: [TermRun],
        configurations: [(index: LogIndex, configuration: ClusterConfiguration)], end: LogIndex? = nil)
    /// Entries that were appended in `epoch` are durable through an index.
    case entriesDurable(epoch: LogEpoch, through: LogIndex)
    /// A record of term and vote is durable.
    case hardStateDurable(HardState)
    /// The connection to a server's node is up both ways. Until this is said of it, a server counts as down: a leader
    /// sends it no entries.
    case peerUp(ServerUID)
    /// A server's node is gone or suspected, the connection to it was reset, or the server was announced as stopped.
    case peerDown(ServerUID)
    /// What another server of the cluster thinks of its term and leader, as its node tells.
    case peerState(ServerUID, term: Term, leader: ServerUID?)
    /// Entries that were asked for are in memory now.
    case entriesFetched
    /// Nothing comes any more of the snapshot that a member was being sent.
    case snapshotEnded(ServerUID)
    /// A snapshot is durable here, through an index whose term is given, with the configuration that is in force there
    /// and where that stands.
    case snapshotInstalled(
        index: LogIndex, term: Term, configuration: (index: LogIndex, configuration: ClusterConfiguration))
    /// The entries through an index are in a durable snapshot of this server and not needed in its log any more.
    case compacted(through: LogIndex)
    /// A consistent query wants an index behind which it may be answered.
    case read(token: UInt64)
    /// The operator wants another server to lead; until `giveUpAt` the target may catch up.
    case transferLeadership(to: ServerUID, giveUpAt: Instant)
    /// The operator wants an election.
    case triggerElection
    /// Nothing becomes durable here any more, or what is on disk can't be read; or it is well again. Such a server does
    /// not campaign.
    case unfitToLead(Bool)
}
