import FlotillaWire

/// The times and sizes that a server goes by.
public struct RaftSettings: Hashable, Sendable {
    /// A server that knows of no leader campaigns after a random time of once to twice this. It is also how long a
    /// leader goes on without hearing a majority, and how long it waits for an answer before it asks again.
    public var electionTimeout: Duration
    /// How long a follower waits before it campaigns when its leader is known to be lost: the connection to its node
    /// broke, or it was announced as stopped. The wider the range, the rarer two campaign at once.
    public var lostLeaderDelay: ClosedRange<Duration>
    /// How long a server that has neither term nor entries waits before it campaigns by itself. It is long, since
    /// whoever starts the cluster triggers the first election.
    public var freshStartDelay: ClosedRange<Duration>
    /// How many bytes of entries one `AppendEntries` carries, unless a single entry is longer.
    public var appendBytes: Int
    /// How many bytes of entries may be on their way to one follower; one message always may.
    public var followerWindowBytes: Int
    /// How many entries may be on their way to one follower.
    public var followerWindowEntries: Int

    /// Settings of these values; `freshStartDelay` is ten to twenty election timeouts unless given.
    public init(
        electionTimeout: Duration = .milliseconds(500),
        lostLeaderDelay: ClosedRange<Duration> = .milliseconds(5)...(.milliseconds(60)),
        freshStartDelay: ClosedRange<Duration>? = nil,
        appendBytes: Int = Limits.appendBytes,
        followerWindowBytes: Int = Limits.followerWindowBytes,
        followerWindowEntries: Int = Limits.followerWindowEntries
    ) {
        precondition(electionTimeout > .zero, "an election timeout must be positive")
        precondition(appendBytes > 0 && followerWindowBytes > 0 && followerWindowEntries > 0, "a window of nothing")
        self.electionTimeout = electionTimeout
        self.lostLeaderDelay = lostLeaderDelay
        self.freshStartDelay = freshStartDelay ?? (electionTimeout * 10)...(electionTimeout * 20)
        self.appendBytes = appendBytes
        self.followerWindowBytes = followerWindowBytes
        self.followerWindowEntries = followerWindowEntries
    }

    /// The range from which the wait for an election is drawn when no leader is known.
    var electionDelay: ClosedRange<Duration> { electionTimeout...(electionTimeout * 2) }
}
