/// Every limit of the system in one place; whoever refuses something by a limit names it.
///
/// All sizes are in bytes. The relations between them are checked by `Limits.check()`, which a test calls.
public enum Limits {
    /// The longest name of a node, a cluster, a server, a machine or a host.
    public static let nameBytes = 255
    /// The longest key of a key-value machine.
    public static let keyBytes = 4 << 10
    /// The longest command or reply by default.
    public static let commandBytesDefault = 8 << 20
    /// The longest command or reply that a setting may allow.
    public static let commandBytesMax = 16 << 20
    /// The longest frame, counted after its length field.
    public static let frameBytes = (16 << 20) + (64 << 10)
    /// The longest frame of a connection that has not said hello yet.
    public static let frameBytesBeforeHello = 4 << 10
    /// How many bytes of entries one AppendEntries carries, unless a single entry is longer.
    public static let appendBytes = 256 << 10
    /// How many bytes of entries may be on their way to one follower; at least one AppendEntries always may.
    public static let followerWindowBytes = 4 << 20
    /// How many entries may be on their way to one follower. It is wider than a client's open commands, so that one
    /// pipelining connection alone is never throttled by it.
    public static let followerWindowEntries = 32_768
    /// How many commands one client connection may have open.
    public static let openCommandsPerConnection = 8_192
    /// How many bytes of commands one client connection may have open.
    public static let openCommandBytesPerConnection = 32 << 20
    /// How far a command's serial may be above the lowest one of its session that is open: as many as a connection may
    /// have open, so that a client that pipelines needs no second session.
    public static let openCommandsPerSession: UInt64 = 8_192
    /// How many machines one frame, and a node, may name.
    public static let machinesPerFrame = 1_024
    public static let machinesPerNode = 16_384
    /// How many events one frame to a session may hold.
    public static let eventsPerFrame = 4_096
    /// How long the name of a timer, or of a handler that machines call, may be.
    public static let effectNameBytes = 255
    /// How many sessions one request, or one entry of the log, may name.
    public static let sessionsPerRequest = 1_024
    /// How many members a cluster may have.
    public static let members = 15
    /// The longest error message on the wire; longer ones are cut.
    public static let errorMessageBytes = 1 << 10
    /// How many keys one page of a listing holds unless the caller asks for fewer.
    public static let listKeys = 1_000
    /// How many bytes of keys and values one page of a listing holds, unless a single pair is longer.
    public static let listBytes = 1 << 20
    /// The smallest write-ahead log file, as a multiple of the longest entry.
    public static let walFileEntries = 4
    /// The longest configuration of a machine, as bytes of its own encoding.
    public static let machineConfigurationBytes = 1 << 10
    /// How many clusters one page of a leadership exchange or of a listing speaks of.
    public static let clustersPerPage = 1_024
    /// The highest index and the highest term. No cluster comes near it, so a higher one is refused where it is read,
    /// and everything after that may add to an index or a term without fear of an overflow.
    public static let position: UInt64 = 1 << 62

    /// Checks the limits against each other; a test calls it, since a wrong relation is a bug in this file.
    public static func check() {
        precondition(commandBytesDefault <= commandBytesMax)
        precondition(commandBytesMax + EntryHeader.byteCount + 4_096 <= frameBytes)
        precondition(appendBytes + 4_096 <= frameBytes)
        precondition(appendBytes <= followerWindowBytes)
        precondition(openCommandsPerConnection <= followerWindowEntries)
        precondition(commandBytesMax <= openCommandBytesPerConnection)
        // A page of a listing, and a single pair that is as long as a command may be, with what stands around them.
        precondition(listBytes + 64 * listKeys <= frameBytes)
        precondition(commandBytesMax + keyBytes + 4_096 <= frameBytes)
        precondition(keyBytes < commandBytesDefault)
    }
}
