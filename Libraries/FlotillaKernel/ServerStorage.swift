import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// What the kernel knows of a server's files, and what is being done with them.
package struct ServerStorage {
    /// Its entries in segments.
    package internal(set) var segments: SegmentSet
    /// Its snapshots and checkpoints.
    package internal(set) var snapshots: SnapshotSet
    /// Every entry of the log through here is in segments, or in a snapshot that needs it no more.
    package internal(set) var flushed: LogIndex
    /// Entries of log files up to this one were written once more, into a later one.
    var carriedThrough: UInt64 = 0
    /// The snapshot that the log on disk says to stand for the entries through its index.
    package internal(set) var floor: SnapshotFile?

    /// Whether a job works on the segments, or on the snapshots; one of each at a time.
    package internal(set) var isWritingSegments = false
    package internal(set) var isWritingSnapshot = false
    /// From where on entries were truncated since the flush that is under way was begun.
    var truncatedFrom: LogIndex?
    /// Whether segments may have become needless since they were last looked at.
    var wantsCompaction = false
    /// The snapshot that the compaction goes by that is under way.
    var compactingBy: SnapshotFile?
    /// How many minor compactions there have been since the last major one.
    var minorCompactions = 0

    /// Entries that were read for followers, by the reads that gave them, and whether more are being read.
    var fetched: [[MemoryTable.Region]] = []
    var isFetching = false
    /// Entries that were read to be applied, and whether more are being read.
    var replay: [MemoryTable.Region] = []
    package internal(set) var isReplaying = false
    /// When what the file system refused to read is asked for again; `nil` while it refuses nothing.
    package internal(set) var readsAgainAt: Instant?
    /// The segment that is being made good, and one that will be.
    var repair: Repair?
    var wantsRepair: UInt64?
    /// The snapshot that could not be read.
    var unreadSnapshot: (file: SnapshotFile, metadata: SnapshotMetadata?)?

    /// Whether the machine is being made of a snapshot.
    package internal(set) var isRestoring = false
    /// Whether there is no machine yet that could answer queries.
    var isMachineMissing = false
    /// How many bytes were applied since the last snapshot.
    var bytesSinceSnapshot = 0
    /// The machine has said that it needs the log through here no more.
    var cursor = LogIndex.zero
    /// The machine wants a checkpoint.
    var wantsCheckpoint = false
    /// Whether there was no room for the last snapshot.
    var waitsForRoom = false
    /// Whether the machine can be written down.
    var canSnapshot = true

    /// A snapshot that comes from another node.
    package internal(set) var incoming: IncomingTransfer?
    /// The members that are being sent a snapshot.
    var outgoing: [ServerUID: OutgoingTransfer] = [:]
    /// Whether something is kept that members were sent.
    var hasSent = false

    /// What is known of a server that has been recovered, or is new.
    init(uid: ServerUID, cluster: ClusterID, files: ServerFiles?, flushed: LogIndex) {
        segments = files?.segments ?? SegmentSet(uid: uid)
        snapshots =
            files?.snapshots ?? SnapshotSet(directory: SnapshotDirectory(path: "", server: uid, cluster: cluster))
        floor = snapshots.newestSnapshot
        self.flushed = flushed
    }

    /// The entries through here are needed by nobody any more, wherever they are.
    var covered: LogIndex {
        guard let floor, floor.liveCount == 0 else { return flushed }
        return max(flushed, floor.index)
    }
}

/// A snapshot that comes from another node, part by part.
package struct IncomingTransfer {
    package internal(set) var name: SnapshotName
    var sender: ServerUID
    /// What was asked for last.
    var position: SnapshotPosition
    /// When that was.
    var askedAt: Instant
    /// When something last came.
    var progressAt: Instant
    /// Whether a part is being written.
    var isWriting = false
    /// Whether it is to begin anew, since it comes from somebody else now: the same snapshot of two servers may differ
    /// byte by byte.
    var beginsAnew = false
    /// Whether all of it has come.
    package internal(set) var isWhole = false
}

/// An entry, and the segment that it was to be read from.
struct SegmentedEntry {
    var index: LogIndex
    /// `nil` where no segment showed it.
    var segment: UInt64?
}

/// A snapshot that is being sent to another node.
struct OutgoingTransfer {
    /// When that node last gave a sign of it.
    var at: Instant
    /// The snapshot, once there is one to send.
    var file: SnapshotFile?
}

/// A job whose outcome the kernel awaits.
enum PendingJob {
    case flush(through: LogIndex)
    case fetch(SegmentedEntry)
    case replay(SegmentedEntry)
    case lookUp([WaitingEntryRead], [SegmentedEntry])
    case snapshot
    case restore(MachineRestorer, SnapshotFile, SnapshotMetadata?)
    case compact
    case removeSegments
    case repair
    case lend(EntriesRequest, NodeID)
    case readPart(SnapshotRequest, NodeID)
    case writePart(SnapshotName)
    case commit(SnapshotName)
    /// One of which nothing follows.
    case chore
}
