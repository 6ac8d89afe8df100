import ArgumentParser
import FlotillaMachine
import FlotillaMachines
import FlotillaNode
import FlotillaStorage
import FlotillaWire
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// The command line of `flotilla-node`.
public struct NodeCommand: AsyncParsableCommand {
    /// What `--help` says.
    public static let configuration = CommandConfiguration(
        commandName: "flotilla-node",
        abstract: "Hosts Raft servers of any number of clusters.",
        discussion: """
            Every flag has an environment variable (FLOTILLA_ and its name in capitals, - as _; FLOTILLA_PEERS takes a \
            list) and a key of the same name in the file that --config names (YAML or JSON; peers is a list). A flag \
            goes before the environment, the environment before the file.
            """)

    @Option(help: "The node's name; its data directory belongs to it for good.") var name: String?
    @Option(help: "HOST:PORT to listen on; port 0 lets the system choose.") var listen: String?
    @Option(help: "HOST:PORT where others reach the node, if that is another.") var advertise: String?
    @Option(help: "Where the node keeps its data.") var dataDir: String?
    @Option(help: "Where the write-ahead log is, if not inside the data directory.") var walDataDir: String?
    @Option(name: .customLong("peer"), help: "NAME=HOST:PORT of another node; may be repeated.")
    var peers: [String] = []
    @Option(help: "Entries in a segment (default 32768).") var segmentMaxEntries: String?
    @Option(help: "Bytes of entries in a segment (default 67108864).") var segmentMaxBytes: String?
    @Option(help: "A server with so much in memory goes into a segment when a log file is full (default 65536).")
    var flushMinBytes: String?
    @Option(help: "Bytes of entries that are applied from one snapshot to the next (default 67108864).")
    var snapshotIntervalBytes: String?
    @Option(help: "Entries from one snapshot that the machine asks for to the next (default 4096).")
    var snapshotIntervalEntries: String?
    @Option(help: "Entries before a snapshot that are kept for followers just behind (default 8192).")
    var logTailEntries: String?
    @Option(help: "Snapshots from one rewriting of thin segments to the next (default 4).")
    var majorCompactionInterval: String?
    @Option(help: "Length of a write-ahead log file (default 67108864).") var walMaxSizeBytes: String?
    @Option(help: "All write-ahead log files together; above it commands are refused (default 8589934592).")
    var walMaxTotalBytes: String?
    @Option(help: "Write-ahead log files made ready ahead (default 2).") var walPreparedFiles: String?
    @Option(help: "Full write-ahead log files that may wait for servers with little in them (default 4).")
    var walMaxFilesBehind: String?
    @Option(help: "true or false: re-check entry bodies on the node's own reads.") var walComputeChecksums: String?
    @Option(help: "auto, datasync, sync or o_sync (default auto).") var walSyncMethod: String?
    @Option(help: "default or o_sync: the old name of --wal-sync-method.") var walWriteStrategy: String?
    @Option(help: "Entries in memory; above it commands are refused (default 1073741824).")
    var memoryTableMaxBytes: String?
    @Option(help: "Longest command or reply (default 8388608, at most 16777216).") var commandMaxBytes: String?
    @Option(help: "Seconds without a sign of its client after which a session ends (default 60).")
    var sessionLeaseSeconds: String?
    @Option(help: "Client sessions that a cluster may have (default 10000).") var sessionsPerCluster: String?
    @Option(help: "all or quorum: who must have a newer version of a machine before it is run (default all).")
    var machineUpgrade: String?
    @Option(help: "Seconds without a durable write after which leaders hand over (default 1).")
    var diskStallLimitSeconds: String?
    @Option(help: "Seconds without a durable write after which the node ends (default 10).")
    var diskHangLimitSeconds: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical (default info).") var logLevel: String?
    @Option(help: "text or json (default text).") var logFormat: String?
    @Option(help: "A YAML or JSON file with any of these settings.") var config: String?

    /// For the argument parser.
    public init() {}

    private var flags: [SettingKey: String] {
        let given: [(SettingKey, String?)] = [
            (.name, name), (.listen, listen), (.advertise, advertise), (.dataDirectory, dataDir),
            (.walDataDirectory, walDataDir), (.peers, peers.isEmpty ? nil : peers.joined(separator: ",")),
            (.segmentMaxEntries, segmentMaxEntries), (.segmentMaxBytes, segmentMaxBytes),
            (.flushMinBytes, flushMinBytes), (.snapshotIntervalBytes, snapshotIntervalBytes),
            (.snapshotIntervalEntries, snapshotIntervalEntries), (.logTailEntries, logTailEntries),
            (.majorCompactionInterval, majorCompactionInterval), (.walMaxSize, walMaxSizeBytes),
            (.walMaxTotal, walMaxTotalBytes), (.walPreparedFiles, walPreparedFiles),
            (.walMaxFilesBehind, walMaxFilesBehind),
            (.walComputeChecksums, walComputeChecksums), (.walSyncMethod, walSyncMethod),
            (.walWriteStrategy, walWriteStrategy), (.memoryTableMax, memoryTableMaxBytes),
            (.commandMax, commandMaxBytes), (.sessionLease, sessionLeaseSeconds),
            (.sessionsPerCluster, sessionsPerCluster), (.machineUpgrade, machineUpgrade),
            (.diskStallLimit, diskStallLimitSeconds),
            (.diskHangLimit, diskHangLimitSeconds),
            (.logLevel, logLevel), (.logFormat, logFormat),
        ]
        return Dictionary(uniqueKeysWithValues: given.compactMap { key, value in value.map { (key, $0) } })
    }

    /// Runs the node until it is told to stop. Whatever keeps it from running is one line on standard error.
    public func run() async throws {
        do {
            let environment = ProcessInfo.processInfo.environment
            let settings = try NodeSettings(
                try await SettingLayers(
                    flags: flags, environment: environment, file: config ?? environment["FLOTILLA_CONFIG"]))
            try await run(settings)
        } catch let error as SettingError {
            fail("flotilla-node: \(error)")
            throw ExitCode(2)
        } catch {
            fail("flotilla-node: \(error)")
            throw ExitCode(1)
        }
    }

    private func run(_ settings: NodeSettings) async throws {
        let logger = Logger(label: "flotilla.\(settings.node.name)") { label in
            LineLogHandler(logLevel: settings.logLevel, format: settings.logFormat, label: label)
        }
        let name = settings.node.name
        let node = FlotillaNode(
            configuration: settings.node, machines: .shipped, logger: logger,
            onReady: { address in
                // Whoever started the process waits for this line; it must not stay in a buffer.
                print("ready \(name) \(address)")
                fflush(nil)
            })
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: node, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger)))
        try await services.run()
    }

    /// The service group says much of what is no news here.
    private func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }

    private func fail(_ line: String) {
        // There is nobody to tell when even this fails.
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }
}
