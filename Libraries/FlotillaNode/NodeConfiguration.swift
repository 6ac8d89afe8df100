import FlotillaKernel
import FlotillaStorage
import FlotillaWire

/// Everything that a node can be told.
public struct NodeConfiguration: Sendable {
    /// Its name; the data directory belongs to it for good.
    public var name: NodeName
    /// Where it listens. Port 0 lets the system choose.
    public var listen: NodeAddress
    /// Where others reach it; where it listens, unless it says so.
    public var advertise: NodeAddress?
    /// Where its data is.
    public var dataDirectory: String
    /// Where its write-ahead log is, if that is elsewhere.
    public var walDirectory: String?
    /// Other nodes to get in touch with. Not the membership of anything: that is in the clusters' configurations.
    public var peers: [(name: NodeName, address: NodeAddress)]
    /// How long a write-ahead log file is, in bytes.
    public var walFileBytes = 64 << 20
    /// How many bytes all write-ahead log files may have together before commands are refused as `busy`.
    public var walTotalBytes = 8 << 30
    /// How many write-ahead log files are made ready ahead.
    public var walPreparedFiles = 2
    /// How many entries a segment holds at most.
    public var segmentMaxEntries = 32_768
    /// How many bytes of entries a segment holds at most, unless a single one is longer.
    public var segmentMaxBytes = 64 << 20
    /// How the write-ahead log is made durable.
    public var walSyncMethod = WALSyncMethod.auto
    /// Timing, bounds and limits of the kernel.
    public var kernel = KernelConfiguration()

    /// A configuration of these parts and otherwise the defaults.
    public init(
        name: NodeName, listen: NodeAddress, dataDirectory: String,
        peers: [(name: NodeName, address: NodeAddress)] = []
    ) {
        self.name = name
        self.listen = listen
        self.dataDirectory = dataDirectory
        self.peers = peers
    }
}
