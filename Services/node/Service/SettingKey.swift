/// Every setting of a node by the name that its flag, its environment variable and its key in a file share:
/// `--data-dir`, `FLOTILLA_DATA_DIR`, `data-dir`.
enum SettingKey: String, CaseIterable {
    case name
    case listen
    case advertise
    case dataDirectory = "data-dir"
    case walDataDirectory = "wal-data-dir"
    case peers
    case segmentMaxEntries = "segment-max-entries"
    case segmentMaxBytes = "segment-max-bytes"
    case flushMinBytes = "flush-min-bytes"
    case snapshotIntervalBytes = "snapshot-interval-bytes"
    case snapshotIntervalEntries = "snapshot-interval-entries"
    case logTailEntries = "log-tail-entries"
    case majorCompactionInterval = "major-compaction-interval"
    case walMaxSize = "wal-max-size-bytes"
    case walMaxTotal = "wal-max-total-bytes"
    case walPreparedFiles = "wal-prepared-files"
    case walMaxFilesBehind = "wal-max-files-behind"
    case walComputeChecksums = "wal-compute-checksums"
    case walSyncMethod = "wal-sync-method"
    case walWriteStrategy = "wal-write-strategy"
    case memoryTableMax = "memory-table-max-bytes"
    case commandMax = "command-max-bytes"
    case sessionLease = "session-lease-seconds"
    case sessionsPerCluster = "sessions-per-cluster"
    case machineUpgrade = "machine-upgrade"
    case diskStallLimit = "disk-stall-limit-seconds"
    case diskHangLimit = "disk-hang-limit-seconds"
    case logLevel = "log-level"
    case logFormat = "log-format"
}

/// A setting that makes no sense.
struct SettingError: Error, CustomStringConvertible {
    /// The setting as the user knows it.
    let key: String
    let reason: String
    var description: String { "\(key): \(reason)" }

    init(_ key: SettingKey, _ reason: String) {
        self.key = key.rawValue
        self.reason = reason
    }

    init(key: String, _ reason: String) {
        self.key = key
        self.reason = reason
    }
}
