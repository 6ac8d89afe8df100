import FlotillaWire

/// What a server knows about another member of its cluster.
struct Peer: Hashable, Sendable {
    /// Who it is.
    let uid: ServerUID
    /// Whether it votes, by the latest configuration.
    var isVoter: Bool
    /// Whether the connection to its node is up both ways.
    var isUp: Bool
    /// Whether it has confirmed this server as leader of this term since its connection came up. Meaningful on the
    /// leader only.
    var isHeard = false
    /// Whether it has granted what this candidate asks for. Meaningful while campaigning only.
    var hasGranted = false
    /// Where its log stands. Meaningful on the leader only.
    var progress: Progress
}

/// What the overview shows about one other member.
public struct PeerOverview: Hashable, Sendable {
    /// Who it is.
    public var uid: ServerUID
    /// Whether it votes.
    public var isVoter: Bool
    /// Whether the connection to its node is up.
    public var isUp: Bool
    /// Whether it has confirmed this leader since its connection came up.
    public var isHeard: Bool
    /// How the leader sends to it.
    public var state: ReplicationState
    /// The last index that is known to be the leader's there, durably.
    public var match: LogIndex
    /// The first index that the next message carries.
    public var next: LogIndex
    /// How many entries are on their way.
    public var inFlightEntries: Int
    /// How many bytes of entries are on their way.
    public var inFlightBytes: Int
}
