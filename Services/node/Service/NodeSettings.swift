import FlotillaKernel
import FlotillaNode
import FlotillaStorage
import FlotillaWire
import Logging

/// The settings of the `flotilla-node` process.
struct NodeSettings {
    /// How lines are logged.
    enum LogFormat {
        case text
        case json
    }

    let node: NodeConfiguration
    let logLevel: Logger.Level
    let logFormat: LogFormat

    /// Reads and checks everything.
    ///
    /// - Throws: `SettingError` that names the setting.
    init(_ layers: SettingLayers) throws {
        var node = NodeConfiguration(
            name: try Self.name(layers.required(.name), .name),
            listen: try Self.address(layers.required(.listen), .listen),
            dataDirectory: try layers.required(.dataDirectory), peers: try Self.peers(layers))
        node.advertise = try layers.text(.advertise).map { try Self.address($0, .advertise) }
        node.walDirectory = layers.text(.walDataDirectory)
        if let size = try layers.size(.walMaxSize) { node.walFileBytes = size }
        if let size = try layers.size(.walMaxTotal) { node.walTotalBytes = size }
        if let count = try layers.size(.walPreparedFiles) { node.walPreparedFiles = count }
        if let method = try Self.syncMethod(layers) { node.walSyncMethod = method }
        try Self.setStorage(&node, layers)
        if let size = try layers.size(.memoryTableMax) { node.kernel.memoryTableBytes = size }
        if let size = try layers.size(.commandMax) {
            guard size <= Limits.commandBytesMax else {
                throw SettingError(.commandMax, "\(size) is above the limit of \(Limits.commandBytesMax)")
            }
            node.kernel.commandBytes = size
        }
        try Self.takeDiskLimits(layers, &node.kernel)
        try Self.checkReserved(layers)
        self.node = node
        logLevel =
            try layers.choice(.logLevel, Logger.Level.allCases.map { ($0.rawValue, $0) }) ?? .info
        logFormat = try layers.choice(.logFormat, [("text", .text), ("json", .json)]) ?? .text
    }

    /// The way of entries from the log into segments, and of segments out of being; what clusters may do.
    private static func setStorage(_ node: inout NodeConfiguration, _ layers: SettingLayers) throws {
        if let count = try size(.segmentMaxEntries, layers, atMost: 1 << 24) { node.segmentMaxEntries = count }
        if let size = try size(.segmentMaxBytes, layers, atLeast: 4_096, atMost: 1 << 30) {
            node.segmentMaxBytes = size
        }
        if let size = try layers.size(.flushMinBytes) { node.kernel.flushBytes = size }
        if let count = try layers.size(.walMaxFilesBehind) { node.kernel.logFilesBehind = count }
        if let size = try layers.size(.snapshotIntervalBytes) { node.kernel.snapshotBytes = size }
        if let count = try layers.size(.snapshotIntervalEntries) { node.kernel.snapshotInterval = count }
        if let count = try layers.size(.logTailEntries) { node.kernel.logTail = count }
        if let lease = try layers.seconds(.sessionLease) { node.kernel.sessionLease = lease }
        if let count = try layers.size(.sessionsPerCluster) { node.kernel.sessionsPerCluster = count }
        let upgrades = MachineUpgrade.allCases.map { ($0.rawValue, $0) }
        if let upgrade = try layers.choice(.machineUpgrade, upgrades) { node.kernel.machineUpgrade = upgrade }
        if let count = try layers.size(.majorCompactionInterval) { node.kernel.minorCompactions = count }
    }

    private static func size(
        _ key: SettingKey, _ layers: SettingLayers, atLeast least: Int = 1, atMost most: Int
    ) throws -> Int? {
        guard let size = try layers.size(key) else { return nil }
        guard (least...most).contains(size) else { throw SettingError(key, "\(size) is not in \(least) ... \(most)") }
        return size
    }

    private static func name(_ text: String, _ key: SettingKey) throws -> NodeName {
        do { return try NodeName(text) } catch { throw SettingError(key, error.description) }
    }

    private static func address(_ text: String, _ key: SettingKey) throws -> NodeAddress {
        do { return try NodeAddress(text) } catch { throw SettingError(key, error.description) }
    }

    private static func peers(_ layers: SettingLayers) throws -> [(name: NodeName, address: NodeAddress)] {
        try layers.list(.peers).map { text in
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw SettingError(.peers, "'\(text)' is not written NAME=HOST:PORT") }
            return (try name(parts[0], .peers), try address(parts[1], .peers))
        }
    }

    private static func syncMethod(_ layers: SettingLayers) throws -> WALSyncMethod? {
        let methods: [(String, WALSyncMethod)] = [
            ("auto", .auto), ("datasync", .datasync), ("sync", .sync), ("o_sync", .oSync),
        ]
        // The old name, by which the same was set before there were more than two ways.
        let strategies: [(String, WALSyncMethod)] = [("default", .auto), ("o_sync", .oSync)]
        return try layers.choice(.walSyncMethod, methods) ?? layers.choice(.walWriteStrategy, strategies)
    }

    private static func takeDiskLimits(_ layers: SettingLayers, _ kernel: inout KernelConfiguration) throws {
        if let limit = try layers.seconds(.diskStallLimit) { kernel.diskStallLimit = limit }
        if let limit = try layers.seconds(.diskHangLimit) { kernel.diskHangLimit = limit }
        guard kernel.diskHangLimit > kernel.diskStallLimit else {
            throw SettingError(.diskHangLimit, "must be longer than \(SettingKey.diskStallLimit.rawValue)")
        }
    }

    /// Settings that name what this version always does one way: checked, so that nonsense is not believed in.
    private static func checkReserved(_ layers: SettingLayers) throws {
        _ = try layers.choice(.walComputeChecksums, [("true", true), ("false", false)])
    }
}
