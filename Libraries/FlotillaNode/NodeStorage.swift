import CFlotilla
import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import Synchronization

/// The storage of a node that is starting: its directory locked, its log read.
struct NodeStorage: Sendable {
    let directory: DataDirectory
    let files: AsyncFiles
    let settings: WALSettings
    let segmentLimits: SegmentLimits
    let mode: WALWriteMode
    /// Where the log goes on.
    let start: WALStart
    let report: RecoveryReport
    /// What was found, for the kernel to take once.
    let recovered: Handover<RecoveredNode>

    /// Lets go of the directory: another process, or another node in this one, may open it.
    func unlock() async throws(StorageError) { try await directory.close(files) }

    /// Opens the directory and reads the log. Everything blocks on files, so it must run on a thread of its own.
    ///
    /// - Parameter progress: is told once a second how far it has got.
    static func open(
        _ configuration: NodeConfiguration, progress: @escaping @Sendable (RecoveryProgress) -> Void
    ) async throws -> NodeStorage {
        let files = AsyncFiles()
        let limits = configuration.segmentLimits
        try limits.validate()
        var generator = SystemRandomNumberGenerator()
        let directory = try await DataDirectory.open(
            path: configuration.dataDirectory, walPath: configuration.walDirectory, name: configuration.name,
            newNodeID: .random(using: &generator), files: files)
        do {
            let settings = configuration.walSettings(in: directory.walPath)
            let began = flotilla_monotonic_nanoseconds()
            let mode = try await settings.resolveWriteMode(files)
            let told = Mutex(began)
            let recovered = try await Recovery.run(
                settings: settings, nodeID: directory.nodeID, dataDirectory: directory.path, files: files
            ) { now in
                let time = flotilla_monotonic_nanoseconds()
                let isDue = told.withLock { last in
                    guard time - last >= 1_000_000_000 else { return false }
                    last = time
                    return true
                }
                if isDue { progress(now) }
            }
            var report = recovered.report
            report.nanoseconds = flotilla_monotonic_nanoseconds() - began
            let start = recovered.start
            return NodeStorage(
                directory: directory, files: files, settings: settings, segmentLimits: limits, mode: mode, start: start,
                report: report, recovered: Handover(recovered))
        } catch {
            // The error of the recovery is what counts; the process ends with it, which also lets go of the lock.
            try? await directory.close(files)
            throw error
        }
    }
}

extension NodeConfiguration {
    /// The settings of the write-ahead log in a directory.
    func walSettings(in directory: String) -> WALSettings {
        var settings = WALSettings(directory: directory)
        settings.fileBytes = UInt64(clamping: walFileBytes)
        settings.maxTotalBytes = UInt64(clamping: walTotalBytes)
        settings.preparedFiles = walPreparedFiles
        settings.syncMethod = walSyncMethod
        settings.commandBytes = kernel.commandBytes
        return settings
    }

    /// How large segments become.
    var segmentLimits: SegmentLimits { SegmentLimits(maxBytes: segmentMaxBytes, maxEntries: segmentMaxEntries) }
}

/// Carries a value that only one may have from one thread to another.
final class Handover<Value>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: consuming sending Value) { self.value = Mutex(value) }

    /// The value, for the first who asks.
    func take() -> sending Value? { value.withLock { $0.take() } }
}
