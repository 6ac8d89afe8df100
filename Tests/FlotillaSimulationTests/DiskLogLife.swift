import FlotillaSimulation
import FlotillaStorage
import FlotillaWire
import NIOCore

/// One life of a node's storage on a simulated disk: directory, recovery, write-ahead log, and a server whose log
/// grows.
///
/// Unchecked, because a world runs on one thread: that of its test.
final class DiskLogLife: @unchecked Sendable {
    /// What recovery found.
    struct Found {
        var nodeID: NodeID
        var incarnation: Incarnation
        var mode: WALWriteMode
        var node: RecoveredNode
        /// The encoded entries of the server.
        var entries: [[UInt8]]
        var term: UInt64
    }

    let world: DiskWorld
    let settings: WALSettings
    private let files: AsyncFiles
    private let filesMount: DiskMount
    private let mount: DiskMount
    private let completions = CompletionQueue()
    private(set) var found: Result<Found, any Error>?
    private(set) var log: WriteAheadLog?
    private(set) var failure: StorageError?
    private var isNew = false
    /// How far entries, and the term, are durable.
    private(set) var durableIndex = 0
    private(set) var durableTerm: UInt64 = 0

    static let uid = ServerUID(high: 1, low: 2)
    // The text is a valid name.
    static let name = try! NodeName("n1")

    static func settings(_ method: WALSyncMethod) -> WALSettings {
        var settings = WALSettings(directory: "/data/wal")
        settings.commandBytes = 1_000
        settings.fileBytes = 40 << 10
        settings.maxTotalBytes = 64 * settings.fileBytes
        settings.batchBytes = 16 << 10
        settings.syncMethod = method
        settings.preparedFiles = 1
        return settings
    }

    init(_ world: DiskWorld, method: WALSyncMethod, salt: UInt64) {
        self.world = world
        settings = Self.settings(method)
        var filesMount: DiskMount?
        files = AsyncFiles { handler in
            let mount = world.disk.mount(handler)
            filesMount = mount
            return mount
        }
        let completions = self.completions
        mount = world.disk.mount { completions.add($0) }
        // The closure above ran inside the initializer of the files.
        self.filesMount = filesMount!
        _ = Task(executorPreference: world.executor) { await self.open(salt) }
    }

    /// Lets the next thing happen; `false` when there is none.
    func step() -> Bool {
        guard world.scheduler.step() else { return false }
        drive()
        return true
    }

    /// Ends the process.
    func end() {
        mount.end()
        filesMount.end()
    }

    /// Appends records, behind the creation of their server if it was not found.
    func append(_ records: [WALRecord]) {
        log?.append(isNew ? [Self.creation] + records : records)
        isNew = false
        drive()
    }

    private func drive() {
        while case let arrived = completions.take(), !arrived.isEmpty {
            for completion in arrived { log?.complete(completion) }
        }
    }

    private func open(_ salt: UInt64) async {
        do {
            let directory = try await DataDirectory.open(
                path: "/data", name: Self.name, newNodeID: NodeID(high: 3, low: salt), files: files)
            let mode = try await settings.resolveWriteMode(files)
            let node = try await Recovery.run(settings: settings, nodeID: directory.nodeID, files: files)
            if let lost = node.lost.first {
                throw StorageError(.corrupt, lost.damage?.description ?? "\(lost.uid) was lost before")
            }
            let server = node.servers.first
            isNew = server == nil
            found = .success(
                Found(
                    nodeID: directory.nodeID, incarnation: directory.incarnation, mode: mode, node: node,
                    entries: server.map { Self.entries(of: $0.table) } ?? [],
                    term: server?.hardState.term.rawValue ?? 0))
            start(node.start, mode, directory.nodeID, salt)
        } catch {
            found = .failure(error)
        }
    }

    private func start(_ start: WALStart, _ mode: WALWriteMode, _ nodeID: NodeID, _ salt: UInt64) {
        let preparer = WALFilePreparer(settings: settings, mode: mode, nodeID: nodeID)
        let log = WriteAheadLog(
            settings: settings, mode: mode, start: start, fileSystem: mount,
            handlers: WriteAheadLog.Handlers(
                durable: { [weak self] notices, _ in self?.take(notices) },
                failure: { [weak self] in self?.failure = $0 },
                prepare: { [weak self] sequence, delay in
                    self?.prepare(sequence, delay, preparer, salt: salt &+ sequence &* 0x9e37_79b9)
                }, remove: { _ in }))
        self.log = log
        log.start()
    }

    private func prepare(_ sequence: UInt64, _ delay: UInt64, _ preparer: WALFilePreparer, salt: UInt64) {
        world.scheduler.after(delay) { [weak self] in
            guard let self else { return }
            _ = Task(executorPreference: self.world.executor) {
                do throws(FileSystemError) {
                    self.log?.fileReady(try await preparer.prepare(sequence: sequence, salt: salt, files: self.files))
                } catch {
                    self.log?.preparationFailed(error)
                }
            }
        }
    }

    private func take(_ notices: [DurableNotice]) {
        for notice in notices {
            switch notice {
            case .entries(_, _, let through, _): durableIndex = Int(through.rawValue)
            case .hardState(_, let state): durableTerm = state.term.rawValue
            case .serverCreated, .serverDeleted, .peer, .snapshotFloor, .fileClosed: break
            }
        }
    }

    private static func entries(of table: MemoryTable) -> [[UInt8]] {
        guard !table.isEmpty else { return [] }
        return (table.firstIndex.rawValue...table.lastIndex.rawValue).map { index in
            table.slices(from: LogIndex(index), through: LogIndex(index)).reduce(into: []) { $0 += Array(buffer: $1) }
        }
    }
}

/// Records of the one server that a life has.
extension DiskLogLife {
    static var creation: WALRecord {
        // The texts are valid names.
        let cluster = try! ClusterName("kv")
        let id = ServerID(cluster: cluster, node: name)
        let address = NodeAddress(host: "127.0.0.1", port: 7401)
        let member = Member(id: id, uid: uid, nodeID: NodeID(high: 3, low: 4), address: address)
        return .serverCreated(
            ServerCreation(
                uid: uid, clusterID: ClusterID(high: 7, low: 8), clusterName: cluster, id: id, machine: "kv",
                machineConfiguration: ByteBuffer(), initial: ClusterConfiguration(members: [member]), createdAt: 99))
    }

    static func hardState(_ term: UInt64) -> WALRecord { .hardState(uid, HardState(term: Term(term), vote: nil)) }

    /// An encoded entry of random length.
    static func entry(_ index: Int, term: UInt64, _ random: inout Randomness) -> [UInt8] {
        let body = [UInt8](repeating: UInt8(random.number(0...255)), count: random.number(1...1_000))
        let header = EntryHeader(
            kind: .command, bodyLength: UInt32(body.count), index: LogIndex(UInt64(index)), term: Term(term),
            time: 1_000, bodyChecksum: body.withUnsafeBytes { Checksum.crc32c($0) })
        return [UInt8](unsafeUninitializedCapacity: EntryHeader.byteCount) { buffer, count in
            if let base = UnsafeMutableRawBufferPointer(buffer).baseAddress { header.store(to: base) }
            count = EntryHeader.byteCount
        } + body
    }

    static func record(_ entries: ArraySlice<[UInt8]>, term: UInt64) -> WALRecord {
        var bytes = ByteBuffer()
        for entry in entries { bytes.writeBytes(entry) }
        return .entries(
            EntriesRecord(
                uid: uid, epoch: .zero, first: LogIndex(UInt64(entries.startIndex + 1)), count: entries.count,
                lastTerm: Term(term), bytes: bytes))
    }
}
