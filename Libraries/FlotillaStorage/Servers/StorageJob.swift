import FlotillaWire
import NIOCore

/// Something that is done with the files of a server in the background, while the node goes on.
package struct StorageJob: Sendable {
    /// Tells the job from others.
    package var number: UInt64
    /// The server.
    package var server: ServerUID
    /// What is to be done.
    package var work: Work

    /// A job of these parts.
    package init(number: UInt64, server: ServerUID, work: Work) {
        self.number = number
        self.server = server
        self.work = work
    }

    /// What is to be done.
    package enum Work: Sendable {
        /// Writes entries from memory into segments.
        case flush([MemoryTable.Region], from: UInt64, salt: UInt64)
        /// Reads consecutive entries.
        case read([SegmentSlice], maxBytes: Int)
        /// Reads single entries; `nil` stands for one that no segment shows.
        case lookUp([(index: LogIndex, segment: Segment?)])
        /// Writes a snapshot, and finds out what its machine needs of the log.
        case snapshot(SnapshotOrder)
        /// Makes a checkpoint a snapshot.
        case promote(SnapshotFile)
        /// Hands the pieces of a snapshot to a machine that is made of them.
        case restore(SnapshotFile, take: @Sendable (SnapshotPiece) throws -> Void)
        /// Finds the segments that a snapshot has made needless, and rewrites thin ones.
        case compact(CompactionOrder)
        /// Finds out which entries of a damaged segment are missing.
        case examine(RepairOrder)
        /// Makes a damaged segment good with entries that have come for it.
        case repair(RepairOrder, with: ByteBuffer)
        /// Removes segments that nobody looks for any more, in their order.
        case removeSegments([UInt64])
        /// Removes snapshots.
        case removeSnapshots([SnapshotFile])
        /// Reads a part of a snapshot, for another node.
        case readPart(SnapshotFile, SegmentSet, SnapshotPosition)
        /// Writes a part of a snapshot that comes from another node.
        case writePart(PartOrder)
        /// Gives what has come of a snapshot its names, once it is whole.
        case commit(SnapshotName)
        /// Removes what has come of a snapshot.
        case abandon
        /// Removes everything of the server.
        case removeServer
    }

    /// Whether somebody waits for an answer to it, so that it should not wait behind others that take long.
    package var isUrgent: Bool {
        switch work {
        case .read, .lookUp, .readPart: true
        default: false
        }
    }
}

/// A snapshot or checkpoint to be written.
package struct SnapshotOrder: Sendable {
    package var metadata: SnapshotMetadata
    package var kind: SnapshotKind
    package var salt: UInt64
    /// The pieces that hold the client sessions.
    package var sessions: @Sendable () -> [ByteBuffer]
    /// The pieces of the machine's frozen state, then `nil`.
    package var pieces: @Sendable () throws -> ByteBuffer?
    /// The entries that the frozen state needs.
    package var live: @Sendable () -> LiveIndexes

    package init(
        metadata: SnapshotMetadata, kind: SnapshotKind, salt: UInt64, sessions: @escaping @Sendable () -> [ByteBuffer],
        pieces: @escaping @Sendable () throws -> ByteBuffer?, live: @escaping @Sendable () -> LiveIndexes
    ) {
        self.metadata = metadata
        self.kind = kind
        self.salt = salt
        self.sessions = sessions
        self.pieces = pieces
        self.live = live
    }
}

/// A compaction of a server's segments.
package struct CompactionOrder: Sendable {
    /// The snapshot that says what is live.
    package var snapshot: SnapshotFile
    package var segments: SegmentSet
    /// Nothing behind this entry, which is at or before the snapshot's last, is touched.
    package var through: LogIndex
    /// Whether thin segments are rewritten, beside the removal of dead ones.
    package var isMajor: Bool
    package var salt: UInt64

    package init(snapshot: SnapshotFile, segments: SegmentSet, through: LogIndex, isMajor: Bool, salt: UInt64) {
        self.snapshot = snapshot
        self.segments = segments
        self.through = through
        self.isMajor = isMajor
        self.salt = salt
    }
}

/// What a compaction has come to.
package struct CompactionOutcome: Sendable {
    /// The segments that are needless, in the order in which they may go. Their files are still there: they go once the
    /// set that everybody reads by names them no more.
    package var needless: [UInt64] = []
    /// The new segments.
    package var written: [Segment] = []
    /// Why some were not rewritten.
    package var failure: StorageError?

    /// Nothing so far, or nothing because of an error.
    package init(failure: StorageError? = nil) { self.failure = failure }
}

/// A part of a snapshot that has come from another node.
package struct PartOrder: Sendable {
    package var cluster: ClusterID
    package var snapshot: SnapshotName
    package var position: SnapshotPosition
    package var content: SnapshotPart.Content
    /// The number and the salt of the first segment of live entries.
    package var number: UInt64
    package var salt: UInt64

    package init(
        cluster: ClusterID, snapshot: SnapshotName, position: SnapshotPosition, content: SnapshotPart.Content,
        number: UInt64, salt: UInt64
    ) {
        self.cluster = cluster
        self.snapshot = snapshot
        self.position = position
        self.content = content
        self.number = number
        self.salt = salt
    }
}

/// What became of a job.
package struct StorageOutcome: Sendable {
    /// The job's number.
    package var number: UInt64
    /// The job's server.
    package var server: ServerUID
    /// What it gave, or why it failed.
    package var result: Result<Value, StorageError>

    package init(number: UInt64, server: ServerUID, result: Result<Value, StorageError>) {
        self.number = number
        self.server = server
        self.result = result
    }

    /// What a job that succeeded gives.
    package enum Value: Sendable {
        case flushed([Segment])
        case read([MemoryTable.Region])
        /// The entries, one for each index; `nil` for one that is gone.
        case lookedUp([ByteBuffer?])
        case snapshot(SnapshotFile)
        case restored
        case compacted(CompactionOutcome)
        case examined([LogIndex])
        /// The segment that takes the place of the damaged one; `nil` when nothing of it is needed.
        case repaired(Segment?)
        case part(SnapshotPart.Content)
        /// Where the next part must begin; `nil` when all has come.
        case progress(SnapshotPosition?)
        case committed(SnapshotFile, SnapshotMetadata, [Segment])
        case done
    }
}
