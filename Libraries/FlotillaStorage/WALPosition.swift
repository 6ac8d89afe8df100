import FlotillaWire

/// A file that is ready for its first batch: zeros throughout, with a header, durable under its final name.
public struct PreparedFile: Equatable, Sendable {
    let header: WALFileHeader

    /// The file's sequence number.
    public var sequence: UInt64 { header.sequence }
    /// The file's length in bytes.
    public var length: UInt64 { header.length }
}

/// Where a write-ahead log goes on, as recovery found it.
public struct WALPosition: Sendable {
    /// A file whose last batch was whole and behind which there are only zeros.
    struct Resumption: Equatable, Sendable {
        var header: WALFileHeader
        var offset: UInt64
        /// Whether the last batch was a seal.
        var sealed: Bool
    }

    /// The node that the files belong to.
    var nodeID: NodeID
    /// The file to go on in; without one the log begins a fresh file.
    var resumption: Resumption?
    /// Empty files that were found.
    var prepared: [PreparedFile] = []
    /// The number for the next file to prepare.
    var nextSequence: UInt64 = 1
    /// The number of the next batch.
    var nextBatch: UInt64 = 1
    /// The checksum of the last batch's header.
    var previousChecksum: UInt32 = 0
    /// The oldest file that is needed to read the log; 0 when there is none.
    var oldestSequence: UInt64 = 0
    /// Whose entries the file to go on in holds.
    var contents: [ServerUID: LogIndex] = [:]
    /// Files that are there though they were released, in ascending order.
    var stale: [UInt64] = []
    /// How many files there are, prepared ones included.
    var files = 0
    /// How many bytes they take.
    var bytes: UInt64 = 0
}

/// All that a write-ahead log needs to go on after recovery.
public struct WALStart: Sendable {
    var position: WALPosition
    var latest: WALLatest

    init(position: WALPosition, latest: WALLatest) {
        self.position = position
        self.latest = latest
    }

    /// The start of a log in an empty directory of a node.
    public init(nodeID: NodeID) { self.init(position: WALPosition(nodeID: nodeID), latest: WALLatest()) }
}
