import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage

/// What a world is like, drawn from its seed: every seed switches on a part of everything, so that each combination
/// is met some time (swarm testing: Groce and others 2012).
package struct WorldOptions: Equatable, Sendable {
    /// A cluster that is started.
    package struct Cluster: Equatable, Sendable {
        package var name: String
        /// The name of its machine.
        package var machine: String
        /// The numbers of the nodes that are members at first.
        package var members: [Int]

        /// A cluster of these parts.
        package init(name: String, machine: String, members: [Int]) {
            self.name = name
            self.machine = machine
            self.members = members
        }
    }

    /// How clients use sessions.
    package struct Sessions: Equatable, Sendable {
        /// How long a session lives without a sign of its client.
        package var leaseMilliseconds: Int
        /// After which time a command that is open is sent once more.
        package var retryNanoseconds: ClosedRange<UInt64>

        /// Uses of these parts.
        package init(leaseMilliseconds: Int, retryNanoseconds: ClosedRange<UInt64>) {
            self.leaseMilliseconds = leaseMilliseconds
            self.retryNanoseconds = retryNanoseconds
        }
    }

    package var nodes = 3
    package var clusters: [Cluster] = []
    package var clients = 4
    /// How many keys the clients use in each cluster: few, so that they collide.
    package var keys = 3
    /// How long a client rests between two operations, in nanoseconds.
    package var restNanoseconds: ClosedRange<UInt64> = 1_000_000...60_000_000
    /// How many commands a client sends at once, at most.
    package var burst = 1
    /// Whether newer versions of machines come while faults happen.
    package var upgrades = false
    /// Whether a leader decides on them alone.
    package var upgradesByQuorum = false
    /// How clients use sessions; `nil` where they do without.
    package var sessions: Sessions?
    /// How long clients wait before they give an operation up.
    package var patienceNanoseconds: UInt64 = 2_000_000_000
    /// How long the time with faults lasts.
    package var activeNanoseconds: UInt64 = 15_000_000_000
    /// Whether faults wait until the clusters have started.
    package var startsCalmly = true

    /// Who stays in trouble for a while when everything else is healed.
    package var straggler: Straggler?

    package var network = SimulatedNetwork.Settings()
    package var disk = DiskSettings()
    package var walFileBytes = 256 << 10
    package var walPreparedFiles = 2
    package var syncMethod = WALSyncMethod.auto
    /// How long a turn gathers what happens.
    package var turnNanoseconds: ClosedRange<UInt64> = 0...20_000
    /// How long it takes from the kernel to the log and back.
    package var handoverNanoseconds: ClosedRange<UInt64> = 1_000...60_000

    /// When entries go from memory to segments, and how snapshots are taken.
    package var flushBytes = 8 << 10
    package var logFilesBehind = 2
    package var carryBytes = 512
    package var snapshotBytes = 64 << 10
    package var logTail = 100
    package var minorCompactions = 2
    package var segmentLimits = SegmentLimits()
    package var logTailBytes = 128 << 20
    /// How much of a snapshot goes to another node at once.
    package var partBytes = 256 << 10
    /// How much may be in memory before commands are refused.
    package var memoryTableBytes = 1 << 30

    /// How long nothing may become durable before leaders hand over, and before the node ends.
    package var diskStallMilliseconds = 1_000
    package var diskHangMilliseconds = 10_000

    package var electionTimeoutMilliseconds = 500
    package var appendBytes = 4 << 10
    package var followerWindowEntries = 1_024

    package init() {}

    /// The settings of the nodes' kernels.
    package var kernelConfiguration: KernelConfiguration {
        var configuration = KernelConfiguration()
        configuration.raft = RaftSettings(
            electionTimeout: .milliseconds(electionTimeoutMilliseconds), appendBytes: appendBytes,
            followerWindowEntries: followerWindowEntries)
        configuration.commandBytes = Self.commandBytes
        configuration.machineUpgrade = upgradesByQuorum ? .quorum : .all
        if let sessions { configuration.sessionLease = .milliseconds(sessions.leaseMilliseconds) }
        configuration.readPatience = .seconds(5)
        configuration.diskStallLimit = .milliseconds(diskStallMilliseconds)
        configuration.diskHangLimit = .milliseconds(diskHangMilliseconds)
        configuration.flushBytes = flushBytes
        configuration.memoryTableBytes = memoryTableBytes
        configuration.logFilesBehind = logFilesBehind
        configuration.carryBytes = carryBytes
        configuration.carriedBytesPerFile = walFileBytes / 8
        configuration.snapshotBytes = snapshotBytes
        configuration.logTail = logTail
        configuration.logTailBytes = logTailBytes
        configuration.minorCompactions = minorCompactions
        return configuration
    }

    private static let commandBytes = 2 << 10

    /// The settings of the nodes' write-ahead logs.
    package func walSettings(in directory: String) -> WALSettings {
        var settings = WALSettings(directory: directory)
        settings.fileBytes = UInt64(walFileBytes)
        settings.preparedFiles = walPreparedFiles
        settings.syncMethod = syncMethod
        settings.commandBytes = Self.commandBytes
        return settings
    }

    func handover(_ random: inout Randomness) -> UInt64 { random.time(handoverNanoseconds) }
}

extension WorldOptions {
    /// Draws the options of a seed.
    package init(seed: UInt64) {
        var random = Randomness.of("options", seed: seed)
        nodes = random.pick([3, 3, 3, 3, 4, 5, 5, 5, 6, 7])
        let count = random.pick([1, 1, 1, 2, 2, 3, 4, 8])
        clusters = (0..<count).map { Self.drawCluster($0, nodes: nodes, &random) }
        clients = random.number(2...8)
        keys = random.pick([1, 2, 3, 5, 8])
        burst = random.pick([1, 1, 1, 4, 16])
        restNanoseconds = 500_000...(random.pick([5_000_000, 40_000_000, 200_000_000]))
        patienceNanoseconds = random.pick([700_000_000, 2_000_000_000, 5_000_000_000])
        activeNanoseconds = random.time(6_000_000_000...24_000_000_000)
        startsCalmly = random.chance(perMille: 750)
        drawNetwork(&random)
        drawDisk(&random)
        turnNanoseconds = 0...random.pick([1_000, 50_000, 500_000])
        handoverNanoseconds = 1_000...random.pick([5_000, 100_000, 20_000_000])
        electionTimeoutMilliseconds = random.pick([300, 500, 500, 1_000])
        appendBytes = random.pick([200, 1 << 10, 64 << 10, 256 << 10])
        followerWindowEntries = random.pick([4, 64, 32_768])
        drawStorage(seed: seed)
        drawDiskLimits(seed: seed)
        drawMemory(seed: seed)
        drawSessions(seed: seed)
        var coming = Randomness.of("upgrades", seed: seed)
        upgrades = coming.chance(perMille: 500)
        upgradesByQuorum = coming.chance(perMille: 300)
        straggler = .draw(seed: seed, nodes: nodes, clusters: count)
    }

    private static func drawCluster(_ number: Int, nodes: Int, _ random: inout Randomness) -> Cluster {
        let size = min(nodes, random.pick([1, 3, 3, 3, 3, 4, 5, 5, 7]))
        var members = Array(0..<nodes)
        while members.count > size { members.remove(at: random.number(0...(members.count - 1))) }
        let machine = random.pick(["kv", "kv", "counter", "list"])
        return Cluster(name: "\(machine)\(number)", machine: machine, members: members)
    }

    private mutating func drawNetwork(_ random: inout Randomness) {
        network.latency = random.pick([20_000...100_000, 50_000...500_000, 100_000...20_000_000])
        network.retransmissionsPerMille = random.pick([0, 0, 5, 50])
        network.splitsPerMille = random.pick([0, 50, 400])
        guard random.chance(perMille: 350) else { return }
        network.chaos.lossPerMille = random.pick([0, 20, 100, 300])
        network.chaos.repeatPerMille = random.pick([0, 20, 200, 500])
        network.chaos.latePerMille = random.pick([0, 20, 200])
        network.chaos.lateness = 100_000...random.pick([2_000_000, 50_000_000, 1_000_000_000, 6_000_000_000])
    }

    private mutating func drawStorage(seed: UInt64) {
        var random = Randomness.of("storage", seed: seed)
        flushBytes = random.pick([1, 1 << 10, 16 << 10])
        logFilesBehind = random.pick([0, 1, 3])
        carryBytes = random.pick([0, 1 << 10, 8 << 10])
        snapshotBytes = random.pick([1 << 10, 8 << 10, 64 << 10, 1 << 30])
        logTail = random.pick([0, 3, 50, 1_000])
        minorCompactions = random.pick([1, 2, 5])
        segmentLimits.maxEntries = random.pick([3, 40, 32_768])
        logTailBytes = random.pick([2_000, 64 << 10, 1 << 30])
        partBytes = random.pick([500, 4 << 10, 256 << 10])
    }

    /// Disks stand still for some seconds at most, so that limits of a process that is in earnest would hardly be met.
    private mutating func drawDiskLimits(seed: UInt64) {
        var random = Randomness.of("disk limits", seed: seed)
        diskStallMilliseconds = random.pick([200, 500, 1_000])
        // Never, as good as: then leaders must leave a node that stays.
        diskHangMilliseconds = random.pick([1_500, 3_000, 10_000, 3_600_000])
    }

    private mutating func drawSessions(seed: UInt64) {
        var random = Randomness.of("sessions", seed: seed)
        guard random.chance(perMille: 600) else { return }
        sessions = Sessions(
            leaseMilliseconds: random.pick([1_000, 3_000, 10_000, 60_000]),
            retryNanoseconds: random.pick([
                500_000...5_000_000, 5_000_000...50_000_000, 20_000_000...500_000_000, 300_000_000...2_000_000_000,
            ]))
    }

    /// Less than a log file holds, or than the files hold together that wait, or more than is ever written.
    private mutating func drawMemory(seed: UInt64) {
        var random = Randomness.of("memory", seed: seed)
        memoryTableBytes = random.pick([16 << 10, 256 << 10, 1 << 30])
    }

    private mutating func drawDisk(_ random: inout Randomness) {
        disk.takesDirect = random.chance(perMille: 600)
        disk.tearsSectors = random.chance(perMille: 500)
        disk.syncNanoseconds = random.pick([20_000...100_000, 50_000...2_000_000, 500_000...30_000_000])
        walFileBytes = random.pick([64 << 10, 128 << 10, 256 << 10, 512 << 10])
        walPreparedFiles = random.pick([1, 2, 2])
        syncMethod = random.pick([.auto, .auto, .datasync, .sync, .oSync])
    }
}

extension WorldOptions: CustomStringConvertible {
    /// What decides most, on a line or two.
    package var description: String {
        let parts = clusters.map { "\($0.name) on \($0.members.map { "n\($0 + 1)" }.joined(separator: ","))" }
        return """
            \(nodes) nodes; \(parts.joined(separator: ", ")); \(clients) clients, \(keys) keys, bursts of \(burst); \
            \(activeNanoseconds / 1_000_000) ms with faults\(startsCalmly ? ", calm start" : ""); \
            latency \(network.latency.lowerBound / 1_000)-\(network.latency.upperBound / 1_000) us, \
            retransmissions \(network.retransmissionsPerMille) per mille, messages lost \(network.chaos.lossPerMille), \
            repeated \(network.chaos.repeatPerMille), late \(network.chaos.latePerMille) per mille; \
            sync \(syncMethod.rawValue)\(disk.takesDirect ? "" : ", no direct writes"), \
            files of \(walFileBytes >> 10) KiB, \(logFilesBehind) behind, flushed from \(flushBytes) bytes on, written again \
            up to \(carryBytes), segments of \(segmentLimits.maxEntries), snapshots each \(snapshotBytes >> 10) KiB, sent in parts of \(partBytes), \
            tail \(logTail) and \(logTailBytes) bytes, \(memoryTableBytes >> 10) KiB in memory; \
            disks slow after \(diskStallMilliseconds) ms, hung after \(diskHangMilliseconds); \
            \(sessions.map { "sessions for \($0.leaseMilliseconds) ms, repeated after \($0.retryNanoseconds.lowerBound / 1_000)-\($0.retryNanoseconds.upperBound / 1_000) us" } ?? "no sessions"); \
            \(upgrades ? "newer versions come\(upgradesByQuorum ? ", leaders decide" : "")" : "no newer versions"); \
            election timeout \(electionTimeoutMilliseconds) ms, \
            appends of \(appendBytes) bytes, window \(followerWindowEntries)\
            \(straggler.map { "; at the end \($0)" } ?? "")
            """
    }
}
