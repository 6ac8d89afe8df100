/// How a write-ahead log is doing; handed along with its notices.
public struct WALStatus: Equatable, Sendable {
    /// How many files there are, prepared ones included.
    public var files = 0
    /// How many bytes these files take.
    public var liveBytes: UInt64 = 0
    /// How many bytes of entries wait to be written, those of the batch in flight not counted.
    public var queuedBytes = 0
    /// Whether records wait because no file is ready for them.
    public var waitingForFile = false
    /// Whether the next file could not be prepared because the disk is full. What is prepared already goes on being
    /// filled, so new commands should be refused while this is set, and terms and votes still get through.
    public var diskFull = false
    /// Whether the next file was not prepared because `wal-max-total-bytes` is reached; to be treated as `diskFull`.
    public var limitReached = false
    /// How many of the records that were handed over are done with: durable, or needless because their server is deleted.
    public var settled: UInt64 = 0
    /// How many batches became durable since the start.
    public var batches: UInt64 = 0
    /// How many records became durable since the start.
    public var records: UInt64 = 0
    /// How many bytes became durable since the start, padding included.
    public var bytesWritten: UInt64 = 0
    /// How many times the disk was asked to make something durable since the start.
    public var syncs: UInt64 = 0
    /// How long the last batch took from its write to being durable, in nanoseconds.
    public var lastSyncNanoseconds: UInt64 = 0
    /// The longest that any batch took since the start, in nanoseconds.
    public var worstSyncNanoseconds: UInt64 = 0

    /// The status of a log that has done nothing yet.
    public init() {}
}
