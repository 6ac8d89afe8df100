import CFlotilla
import FlotillaConsensus
import FlotillaKernel
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// A node: hosts servers of any number of clusters, for other nodes and for clients.
///
/// ```swift
/// var machines = MachineRegistry()
/// machines.register(Adder.self, as: "adder")
/// let node = FlotillaNode(configuration: configuration, machines: machines)
/// try await ServiceGroup(services: [node], logger: node.logger).run()
/// ```
public final class FlotillaNode: Service {
    /// What it was told.
    public let configuration: NodeConfiguration
    /// Where it says what happens.
    public let logger: Logger
    private let machines: MachineRegistry
    private let handlers: [String: MachineHandler]
    private let onReady: @Sendable (NodeAddress) -> Void

    /// A node that is not running yet.
    ///
    /// - Parameters:
    ///   - machines: the state machines that its servers may run.
    ///   - handlers: what machines may have called, by name.
    ///   - onReady: called once, with the address that it listens on, as soon as it serves.
    public init(
        configuration: NodeConfiguration, machines: MachineRegistry, handlers: [String: MachineHandler] = [:],
        logger: Logger = Logger(label: "flotilla"), onReady: @escaping @Sendable (NodeAddress) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.machines = machines
        self.handlers = handlers
        self.logger = logger
        self.onReady = onReady
    }

    /// Runs until the task is cancelled, a graceful shutdown is asked for, or the node must stop.
    ///
    /// - Throws: `StorageError` when the data directory is locked, foreign or damaged, or when a write fails. With
    ///   `hung` threads that wait for the disk are left behind, and so may be the lock: the process should end then.
    ///   `FlotillaError` when the node can't listen or the log of a server contradicts itself.
    public func run() async throws {
        let threads = JobThreads()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var storage: NodeStorage?
        do {
            let opened = try await open(on: threads.background)
            storage = opened
            try await run(opened, on: group.next(), threads)
        } catch {
            await end(group, error.mayHang ? nil : threads)
            // The error that ended the node is the one to tell; the lock goes, so that it can be started again.
            if !error.mayHang { try? await storage?.unlock() }
            throw error
        }
        await end(group, threads)
        // Last of all: whoever has the lock must find nobody else at work on the files.
        try await storage?.unlock()
    }

    private func open(on thread: BackgroundThread) async throws -> NodeStorage {
        let configuration = configuration
        let storage = try await withTaskExecutorPreference(thread.executor) {
            try await NodeStorage.open(configuration) { [logger] in logger.info("recovering: \($0)") }
        }
        log(storage)
        return storage
    }

    /// Waits for the jobs that are on their way, then for the event loop, to which they tell what came of them.
    private func end(_ group: MultiThreadedEventLoopGroup, _ threads: JobThreads?) async {
        // It blocks, perhaps for as long as a snapshot takes: a thread that tasks run on must not.
        if let threads {
            // Where that pool was ended by its process, this thread waits itself.
            do { try await NIOThreadPool.singleton.runIfActive { threads.stop() } } catch { threads.stop() }
        }
        do { try await group.shutdownGracefully() } catch { logger.warning("the event loop ended with \(error)") }
    }

    private func run(_ storage: NodeStorage, on loop: any EventLoop, _ threads: JobThreads) async throws {
        let runtime = NIOLoopBoundBox<NodeRuntime?>.makeEmptyBox(valueType: NodeRuntime.self, eventLoop: loop)
        let ended = loop.makePromise(of: Void.self)
        let listener: any Channel
        do { listener = try await listen(on: loop, runtime: runtime) } catch {
            ended.succeed()
            throw error
        }
        let wal = WALThread(
            WALThread.Configuration(
                settings: storage.settings, mode: storage.mode, nodeID: storage.directory.nodeID,
                start: storage.start),
            background: threads.background,
            durable: { notices, status in
                loop.execute { runtime.value?.walCompleted(notices, status: status) }
            },
            failure: { ended.fail($0) })
        let runner = HandlerRunner(handlers, logger: logger)
        do {
            let address = try await start(
                storage, wal: wal, threads: threads, runner: runner, listener: listener, runtime: runtime, ended: ended)
            onReady(address)
            try await waitForEnd(of: ended)
        } catch {
            ended.fail(error)
            await stop(listener, runtime: runtime, wal: error.mayHang ? nil : wal)
            await runner.stop()
            throw error
        }
        await stop(listener, runtime: runtime, wal: wal)
        await runner.stop()
    }

    private func log(_ storage: NodeStorage) {
        let report = storage.report
        logger.info(
            "recovered \(report.bytes) bytes of log from \(report.files) files in \(report.nanoseconds / 1_000_000) ms",
            metadata: [
                "node": "\(storage.directory.nodeID)", "incarnation": "\(storage.directory.incarnation)",
                "torn_bytes": "\(report.tornBytes)", "batches": "\(report.batches)",
            ])
        for damage in report.harmless { logger.warning("harmless damage: \(damage)") }
    }

    // MARK: Start

    /// Opens the port without taking connections yet, so that a taken one is noticed before anything is recovered.
    private func listen(
        on loop: any EventLoop, runtime: NIOLoopBoundBox<NodeRuntime?>
    ) async throws -> any Channel {
        let address = configuration.listen
        do {
            return try await ServerBootstrap(group: loop)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelOption(.backlog, value: 256)
                .serverChannelOption(.autoRead, value: false)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                // A client whose machine is gone without a word is noticed some day.
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
                .childChannelOption(.recvAllocator, value: NodeRuntime.receiveAllocator)
                .childChannelOption(.writeBufferWaterMark, value: NodeRuntime.waterMark)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let runtime = runtime.value else { throw ChannelError.ioOnClosedChannel }
                        let handler = ConnectionHandler(runtime: runtime, dial: nil)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .bind(host: address.host, port: Int(address.port)).get()
        } catch {
            throw FlotillaError(.unreachable, "can't listen on \(address): \(error)")
        }
    }

    /// Makes the kernel and opens the doors.
    private func start(
        _ storage: NodeStorage, wal: WALThread, threads: JobThreads, runner: HandlerRunner, listener: any Channel,
        runtime: NIOLoopBoundBox<NodeRuntime?>, ended: EventLoopPromise<Void>
    ) async throws -> NodeAddress {
        let port = listener.localAddress?.port.map { UInt16(clamping: $0) } ?? configuration.listen.port
        let listening = NodeAddress(host: configuration.listen.host, port: port)
        let identity = Hello.Node(
            id: storage.directory.nodeID, name: configuration.name, incarnation: storage.directory.incarnation,
            address: configuration.advertise ?? listening)
        let worker = StorageWorker(
            dataDirectory: storage.directory.path, limits: storage.segmentLimits, files: storage.files)
        let loop = listener.eventLoop
        let (configuration, machines, logger) = (configuration, machines, logger)
        try await loop.submit {
            guard let recovered = storage.recovered.take() else { return }
            let kernel = Kernel(
                identity: identity, configuration: configuration.kernel, registry: machines,
                seeds: configuration.peers, recovered: recovered, seed: .random(in: .min ... .max),
                now: NodeRuntime.now, wallClock: flotilla_wall_nanoseconds())
            let created = NodeRuntime(
                kernel: kernel, loop: loop, wal: wal, threads: threads, worker: worker, runner: runner,
                logger: logger,
                failed: { ended.fail($0.naming(logOf: storage.settings.directory)) })
            runtime.value = created
            created.start()
        }.get()
        try await listener.setOption(.autoRead, value: true).get()
        listener.read()
        return listening
    }

    // MARK: End

    private func waitForEnd(of ended: EventLoopPromise<Void>) async throws {
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await ended.futureResult.get()
        } onCancelOrGracefulShutdown: {
            ended.succeed()
        }
    }

    /// Says goodbye, and lets everything that was handed to the log become durable.
    ///
    /// - Parameter wal: `nil` when its disk hangs, which nobody must wait for.
    private func stop(
        _ listener: any Channel, runtime: NIOLoopBoundBox<NodeRuntime?>, wal: WALThread?
    ) async {
        do {
            try await listener.eventLoop.submit { runtime.value?.stop() }.get()
            try await listener.close()
        } catch { logger.warning("closing the doors failed: \(error)") }
        wal?.stop()
    }
}

extension Error {
    /// Whether threads of the node may be stuck in system calls that never return. They are left behind.
    fileprivate var mayHang: Bool { (self as? StorageError)?.code == .hung }
}

extension StorageError {
    /// The same, with the directory that a disk that hangs is about.
    fileprivate func naming(logOf directory: String) -> StorageError {
        code == .hung ? StorageError(code, "write-ahead log \(directory): \(message)") : self
    }
}
