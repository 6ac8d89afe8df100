import FlotillaStorage
import FlotillaWire
import NIOCore

/// A write-ahead log on files in memory, with everything around it done by hand.
final class TestLog {
    static let directory = "/wal"

    let disk: MemoryFileSystem
    let settings: WALSettings
    private(set) var notices: [[DurableNotice]] = []
    private(set) var statuses: [WALStatus] = []
    private(set) var failures: [StorageError] = []
    private(set) var delays: [UInt64] = []
    /// Whether files that are to be removed stay for now.
    var holdsRemovals = false
    private(set) var log: WriteAheadLog
    private let completions: CompletionQueue
    private let files: AsyncFiles
    private let preparer: WALFilePreparer
    private let wishes: Wishes

    private final class Wishes {
        var sequences: [UInt64] = []
        var removals: [[UInt64]] = []
        weak var owner: TestLog?
    }

    static func settings(method: WALSyncMethod = .datasync, fileBytes: UInt64 = 64 << 10) -> WALSettings {
        var settings = WALSettings(directory: directory)
        settings.commandBytes = 1_000
        settings.fileBytes = fileBytes
        settings.maxTotalBytes = fileBytes * 64
        settings.batchBytes = 16 << 10
        settings.syncMethod = method
        settings.preparedFiles = 1
        return settings
    }

    /// A log that goes on from `start` on the contents of a disk; by default a new one on an empty disk.
    init(
        on other: MemoryFileSystem? = nil, start: WALStart? = nil, settings: WALSettings = TestLog.settings(),
        mode: WALWriteMode = .dataSync
    ) async throws {
        let completions = CompletionQueue()
        self.completions = completions
        let source = other ?? MemoryFileSystem()
        // One disk seen by two users: tokens with the top bit belong to the background jobs.
        let router = Router(log: completions)
        let disk = MemoryFileSystem(copying: source) { router.route($0) }
        self.disk = disk
        self.settings = settings
        files = AsyncFiles { handler in
            router.jobs = handler
            return Tagged(disk: disk)
        }
        preparer = WALFilePreparer(settings: settings, mode: mode, nodeID: Sample.nodeID)
        let wishes = Wishes()
        self.wishes = wishes
        log = WriteAheadLog(
            settings: settings, mode: mode, start: start ?? WALStart(nodeID: Sample.nodeID), fileSystem: disk,
            handlers: WriteAheadLog.Handlers(
                durable: {
                    wishes.owner?.notices.append($0); wishes.owner?.statuses.append($1)
                },
                failure: { wishes.owner?.failures.append($0) },
                prepare: {
                    wishes.sequences.append($0); wishes.owner?.delays.append($1)
                }, remove: { wishes.removals.append($0) }))
        wishes.owner = self
        try await files.durablyMakeDirectory(Self.directory)
        log.start()
        await settle()
    }

    /// What was asked to be removed and is not yet.
    var removals: [[UInt64]] { wishes.removals }

    /// Lets everything happen that has been started.
    func settle() async {
        while true {
            let arrived = completions.take()
            for completion in arrived { log.complete(completion) }
            if !arrived.isEmpty { continue }
            if !wishes.removals.isEmpty, !holdsRemovals {
                await remove(wishes.removals.removeFirst())
                continue
            }
            guard let sequence = wishes.sequences.first else { return }
            wishes.sequences.removeFirst()
            if !(await prepare(sequence)) { return }
        }
    }

    private func remove(_ sequences: [UInt64]) async {
        do throws(FileSystemError) {
            try await WALFileRemover(directory: Self.directory).remove(sequences, files: files)
            log.filesRemoved(sequences.count)
        } catch {
            log.removalFailed(error)
        }
    }

    private func prepare(_ sequence: UInt64) async -> Bool {
        do throws(FileSystemError) {
            log.fileReady(
                try await preparer.prepare(sequence: sequence, salt: 0x5a17 &+ sequence &* 0x9e37_79b9, files: files))
            return true
        } catch {
            log.preparationFailed(error)
            return false
        }
    }

    /// Appends records as one batch and waits until it is durable.
    func write(_ records: WALRecord...) async {
        log.append(records)
        await settle()
    }

    func seal() async {
        log.idle()
        await settle()
    }

    func path(_ sequence: UInt64) -> String { "\(Self.directory)/\(String(repeating: "0", count: 15))\(sequence).wal" }
}

/// Gives completions to the log or, by their tokens, to the background jobs.
final class Router: @unchecked Sendable {
    // A test runs on one thread at a time, and `jobs` is set once before anything is submitted.
    static let jobBit: UInt64 = 1 << 63
    private let log: CompletionQueue
    var jobs: FileCompletionHandler?

    init(log: CompletionQueue) { self.log = log }

    func route(_ completion: FileCompletion) {
        guard completion.token & Self.jobBit != 0 else {
            log.add(completion)
            return
        }
        jobs?(
            FileCompletion(
                token: completion.token & ~Self.jobBit, result: completion.result,
                nanoseconds: completion.nanoseconds))
    }
}

/// Marks the tokens of background jobs.
final class Tagged: FileSystem {
    private let disk: MemoryFileSystem
    init(disk: MemoryFileSystem) { self.disk = disk }
    func submit(_ operation: FileOperation, token: UInt64) { disk.submit(operation, token: token | Router.jobBit) }
}

/// A recovered node as values that can be compared.
struct RecoveredValues: Equatable {
    struct Server: Equatable {
        var creation: ServerCreation
        var hardState: HardState
        var first: LogIndex
        var last: LogIndex
        var bytes: [UInt8]
        var runs: [UInt64]
        var configurations: [UInt64]
        var lastApplied: LogIndex
        var floor: LogIndex?
    }

    var servers: [Server]
    var peers: [KnownPeer]
    var tombstones: [Tombstone]

    init(_ node: RecoveredNode) {
        servers = node.servers.map { server in
            let table = server.table
            let slices =
                table.isEmpty ? [] : table.slices(from: table.firstIndex, through: table.lastIndex)
            return Server(
                creation: server.creation, hardState: server.hardState, first: table.firstIndex,
                last: table.lastIndex, bytes: slices.flatMap { Array($0.readableBytesView) },
                runs: server.termRuns.flatMap { [$0.first.rawValue, $0.term.rawValue] },
                configurations: server.configurations.map(\.index.rawValue), lastApplied: server.lastApplied,
                floor: server.snapshotFloor?.index)
        }
        peers = node.peers
        tombstones = node.tombstones
    }
}

/// Recovers from a copy of a disk, which it gives back as recovery left it.
func recover(
    _ disk: MemoryFileSystem, settings: WALSettings = TestLog.settings(), bases: [ServerUID: RecoveredBase] = [:]
) async throws -> (node: RecoveredNode, values: RecoveredValues, disk: MemoryFileSystem) {
    let router = Router(log: CompletionQueue())
    let copy = MemoryFileSystem(copying: disk) { router.route($0) }
    let files = AsyncFiles { handler in
        router.jobs = handler
        return Tagged(disk: copy)
    }
    let node = try await Recovery.run(settings: settings, nodeID: Sample.nodeID, bases: bases, files: files)
    return (node, RecoveredValues(node), copy)
}
