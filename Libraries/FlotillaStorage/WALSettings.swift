import FlotillaWire

/// How writes are made durable, as users choose it.
public enum WALSyncMethod: String, Sendable, CaseIterable {
    /// Past the page cache with every write durable, where the file system takes it; else `datasync`.
    case auto
    /// Each batch is followed by `fdatasync`.
    case datasync
    /// Each batch is followed by `fsync`.
    case sync
    /// Files are opened with `O_DSYNC`.
    case oSync = "o_sync"
}

/// The settings of a write-ahead log.
public struct WALSettings: Sendable {
    /// The directory of its files.
    public var directory: String
    /// The length of a file in bytes, a multiple of 4096 (`wal-max-size-bytes`).
    public var fileBytes: UInt64 = 64 << 20
    /// How many bytes all files together may take (`wal-max-total-bytes`).
    public var maxTotalBytes: UInt64 = 8 << 30
    /// How many files are kept ready (`wal-prepared-files`).
    public var preparedFiles = 2
    /// How many bytes one batch holds, unless a single entry is longer (`wal-max-batch-bytes`).
    public var batchBytes = 4 << 20
    /// How writes are made durable (`wal-sync-method`).
    public var syncMethod = WALSyncMethod.auto
    /// The longest command that the node takes (`max-command-bytes`).
    public var commandBytes = Limits.commandBytesDefault

    /// The defaults, for a directory.
    public init(directory: String) { self.directory = directory }

    /// Refuses what makes no sense, naming the setting as users know it.
    public func validate() throws(StorageError) {
        guard !directory.isEmpty else { throw Self.refusal("wal-data-dir", "is empty") }
        guard commandBytes > 0, commandBytes <= Limits.commandBytesMax else {
            throw Self.refusal("max-command-bytes", "is not in 1 ... \(Limits.commandBytesMax)")
        }
        let smallest = UInt64(Limits.walFileEntries * (commandBytes + Self.entryOverhead))
        guard fileBytes >= smallest, fileBytes <= WALFormat.fileBytesMax else {
            throw Self.refusal(
                "wal-max-size-bytes",
                "is \(fileBytes), not in \(smallest) ... \(WALFormat.fileBytesMax) (a file must hold "
                    + "\(Limits.walFileEntries) of the longest commands)")
        }
        guard fileBytes % UInt64(WALFormat.blockBytes) == 0 else {
            throw Self.refusal("wal-max-size-bytes", "is \(fileBytes), no multiple of \(WALFormat.blockBytes)")
        }
        guard preparedFiles >= 1, preparedFiles <= 64 else {
            throw Self.refusal("wal-prepared-files", "is \(preparedFiles), not in 1 ... 64")
        }
        guard batchBytes >= WALFormat.blockBytes, batchBytes <= 64 << 20 else {
            throw Self.refusal("wal-max-batch-bytes", "is \(batchBytes), not in 4096 ... 67108864")
        }
        guard maxTotalBytes / fileBytes >= UInt64(preparedFiles) + 1 else {
            throw Self.refusal(
                "wal-max-total-bytes", "is \(maxTotalBytes), less than \(preparedFiles + 1) files of \(fileBytes)")
        }
    }

    /// What surrounds the longest command in a file: its entry's and record's heads, its batch's padding, the seal.
    private static let entryOverhead =
        CommandPrefix.shortByteCount + 40 + EntryHeader.byteCount + WALRecordEnvelope.byteCount
        + WALEntriesHead.byteCount + 2 * WALFormat.blockBytes

    private static func refusal(_ key: String, _ reason: String) -> StorageError {
        StorageError(.setting, "the setting \(key) \(reason)")
    }
}
