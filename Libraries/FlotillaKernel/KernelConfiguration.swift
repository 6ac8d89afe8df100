import FlotillaConsensus
import FlotillaWire

/// What a kernel may be told about how it works.
public struct KernelConfiguration: Sendable {
    /// The timing of elections and the bounds of replication.
    public var raft = RaftSettings()
    /// How often a node gives a sign of life to each other node.
    public var pingInterval: Duration = .milliseconds(100)
    /// The least silence after which another node is suspected; the detector waits longer where signs of life come
    /// irregularly.
    public var suspicionFloor: Duration = .milliseconds(500)
    /// The longest silence that is put up with.
    public var suspicionCeiling: Duration = .seconds(3)
    /// The shortest and the longest pause between two attempts to reach another node.
    public var redialDelay: ClosedRange<Duration> = .milliseconds(20)...(.seconds(1))
    /// The longest command or reply, in bytes.
    public var commandBytes = Limits.commandBytesDefault
    /// How many bytes of entries all servers together may hold in memory before new commands are refused as `busy`.
    public var memoryTableBytes = 1 << 30
    /// How many bytes of entries are applied for one server in one turn, so that a long replay holds up nobody else.
    public var applyBytesPerTurn = 4 << 20
    /// A server that has this many bytes of entries in memory when a log file is full is flushed at once.
    public var flushBytes = 64 << 10
    /// How many full log files may wait before the servers with little in them must leave the oldest.
    public var logFilesBehind = 4
    /// A server with no more bytes than this leaves it by having them written into the log once more.
    public var carryBytes = 4 << 10
    /// How many bytes may be written once more for each file.
    public var carriedBytesPerFile = 8 << 20
    /// A snapshot is taken when this many bytes of entries were applied since the last, or up to a quarter less: each
    /// server draws anew how many, so that the members of a cluster are not all at it at once.
    public var snapshotBytes = 64 << 20
    /// How many entries there must be from one snapshot that the machine asks for to the next.
    public var snapshotInterval = 4_096
    /// How many entries before a snapshot are kept for followers that are just behind.
    public var logTail = 8_192
    /// How many servers of this node may be receiving a snapshot at the same time.
    public var incomingSnapshots = 8
    /// How many bytes of those are kept at most, as far as whole segments allow.
    public var logTailBytes = 128 << 20
    /// After how many minor compactions segments of which little is left are rewritten.
    public var minorCompactions = 4
    /// How long a client session lives without a sign of its client.
    public var sessionLease: Duration = .seconds(60)
    /// How many client sessions a cluster may have; further ones are refused as `busy`.
    public var sessionsPerCluster = 10_000
    /// When a cluster runs a higher version of its machine.
    public var machineUpgrade = MachineUpgrade.all
    /// How often a node whose member missed the start is asked to make up for it.
    public var lateStartInterval: Duration = .seconds(1)
    /// How long a connection may stay without a hello.
    public var helloPatience: Duration = .seconds(5)
    /// How long a consistent query may wait for a majority before it is refused.
    public var readPatience: Duration = .seconds(30)
    /// How long nothing may become durable, though something waits for it, before leaders on this node hand over.
    public var diskStallLimit: Duration = .seconds(1)
    /// How long that may be before the node ends.
    public var diskHangLimit: Duration = .seconds(10)
    /// How long a start waits for the other members once a majority runs.
    public var startGrace: Duration = .milliseconds(500)

    /// The defaults.
    public init() {}
}
