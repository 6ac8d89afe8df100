import CFlotilla
import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import Logging
import NIOCore
import NIOPosix

/// Runs a kernel on one event loop: tells it what happens, ends its turns, and does what it says.
///
/// A turn ends once everything that was readable has been read: the first event of a turn schedules its end behind
/// whatever else the loop has in hand. So one system call serves many commands, and no timer decides about it.
///
/// Not thread-safe: it belongs to its event loop.
final class NodeRuntime {
    let kernel: Kernel
    private let loop: any EventLoop
    private let isolated: NIOIsolatedEventLoop
    private let wal: WALThread
    private let threads: JobThreads
    private let worker: StorageWorker
    private let runner: HandlerRunner
    private let failed: (StorageError) -> Void
    private let logger: Logger
    private var connections: [LinkID: ConnectionHandler] = [:]
    private var isTurnScheduled = false
    private var alarm: Scheduled<Void>?
    private var alarmAt: Instant?
    private var isStopped = false

    /// - Parameter failed: is told why the node must end, if its disk fails.
    init(
        kernel: Kernel, loop: any EventLoop, wal: WALThread, threads: JobThreads, worker: StorageWorker,
        runner: HandlerRunner, logger: Logger, failed: @escaping (StorageError) -> Void
    ) {
        loop.preconditionInEventLoop()
        self.kernel = kernel
        self.loop = loop
        isolated = loop.assumeIsolated()
        self.wal = wal
        self.threads = threads
        self.worker = worker
        self.runner = runner
        self.failed = failed
        self.logger = logger
    }

    /// The monotonic clock that goes on while the machine sleeps: what leases and elections may rely on.
    static var now: Instant { Instant(nanoseconds: flotilla_monotonic_nanoseconds()) }

    private func tellTime() { kernel.setTime(Self.now, wallClock: flotilla_wall_nanoseconds()) }

    /// Begins: dials the other nodes and sets the first alarm.
    func start() {
        tellTime()
        kernel.advance()
        touched()
    }

    // MARK: What happens

    func opened(_ handler: ConnectionHandler, dial: Kernel.Dial?) -> Link {
        tellTime()
        let link = dial.map { kernel.connected($0) } ?? kernel.accepted()
        connections[link.id] = handler
        touched()
        return link
    }

    func received(_ buffer: inout ByteBuffer, on link: Link) throws(WireError) {
        tellTime()
        try kernel.receive(&buffer, on: link.id)
    }

    func closed(_ link: Link, reason: String) {
        connections[link.id] = nil
        tellTime()
        kernel.closed(link.id, reason: reason)
        touched()
    }

    func walCompleted(_ notices: [DurableNotice], status: WALStatus) {
        tellTime()
        kernel.walCompleted(notices, status: status)
        touched()
    }

    private func jobEnded(_ outcome: StorageOutcome) {
        tellTime()
        kernel.jobEnded(outcome)
        touched()
    }

    /// Something has happened: the turn ends once everything else that is there has been told too.
    func touched() {
        guard !isTurnScheduled, !isStopped else { return }
        isTurnScheduled = true
        isolated.execute { self.endTurn() }
    }

    // MARK: The end of a turn

    private func endTurn() {
        isTurnScheduled = false
        guard !isStopped else { return }
        let more = kernel.endTurn()
        carryOut()
        setAlarm()
        if more { touched() }
    }

    private func carryOut() {
        // The log first: its thread works while this one talks to the sockets.
        if !kernel.output.records.isEmpty { wal.submit(&kernel.output.records) }
        // Taken out first: a write that fails tells the kernel at once, which may add to the list.
        let links = kernel.output.links
        kernel.output.links = []
        for link in links {
            if let connection = connections[link.id] { connection.flush(link) } else { link.drain { _ in } }
        }
        for job in kernel.output.jobs { start(job) }
        kernel.output.jobs = []
        for call in kernel.output.calls { runner.run(call) }
        kernel.output.calls = []
        if let failure = kernel.output.failure { failed(failure) }
        let dials = kernel.output.dials
        kernel.output.dials = []
        for dial in dials { connect(dial) }
        let events = kernel.output.events
        kernel.output.events = []
        for event in events { log(event) }
    }

    private func start(_ job: StorageJob) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        threads.run(job, by: worker) { outcome in loop.execute { bound.value.jobEnded(outcome) } }
    }

    private func setAlarm() {
        let deadline = kernel.deadline
        if let alarmAt, alarmAt <= deadline { return }
        alarm?.cancel()
        alarmAt = deadline
        let now = Self.now
        let delay = deadline > now ? Int64(clamping: deadline.nanoseconds - now.nanoseconds) : 0
        alarm = isolated.scheduleTask(in: .nanoseconds(delay)) { self.alarmRang() }
    }

    private func alarmRang() {
        alarm = nil
        alarmAt = nil
        guard !isStopped else { return }
        tellTime()
        kernel.advance()
        touched()
    }

    // MARK: Connections

    private func connect(_ dial: Kernel.Dial) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(2))
            .peerOptions()
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ConnectionHandler(runtime: bound.value, dial: dial)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: dial.address.host, port: Int(dial.address.port))
            .whenFailure { error in
                let runtime = bound.value
                runtime.logger.debug("can't connect to \(dial.name) at \(dial.address): \(error)")
                runtime.tellTime()
                runtime.kernel.connectFailed(dial)
                runtime.touched()
            }
    }

    private func log(_ event: KernelEvent) {
        switch event {
        case .peerUp(let name, let address): logger.info("node \(name) at \(address) is up")
        case .peerDown(let name, let reason): logger.warning("node \(name) is down: \(reason)")
        case .peerRefused(let reason): logger.warning("a connection was refused: \(reason)")
        case .leaderChanged(let server, let leader, let term):
            logger.debug("\(server) follows \(leader?.description ?? "nobody") in term \(term)")
        case .serverStarted(let server, let cluster): logger.debug("\(server) of cluster \(cluster) started")
        case .serverDeleted(let server, let cluster): logger.info("\(server) of cluster \(cluster) deleted")
        case .serverLost(let uid, let server, let reason):
            logger.error(
                "\(server?.description ?? "a server") (\(uid)) is lost and takes part in nothing more; the leader of its cluster replaces it: \(reason)"
            )
        case .memberReplaced(let cluster, let node):
            logger.warning("the member of \(cluster) on node \(node) is lost, and replaced by a new one there")
        case .effectDropped(let server, let reason):
            logger.error("a command that the machine of \(server) wanted appended is dropped: \(reason)")
        case .memberRefused(let cluster, let node, let reason):
            logger.warning("the member of \(cluster) on node \(node) can not be started: \(reason)")
        case .snapshotFailed(let server, let reason):
            logger.error("no snapshot of \(server) can be taken, so its log is not cut: \(reason)")
        case .diskSlow(let report): logger.warning("\(report)")
        case .diskRecovered(let time, let longest):
            logger.warning(
                """
                the disk of the write-ahead log is fast enough again after \(time.inSeconds); the longest that nothing \
                became durable was \(longest.inSeconds)
                """)
        case .repairBegan(let server, let segment):
            logger.error("segment \(segment) of \(server) is damaged: its entries are fetched from the other members")
        case .repairEnded(let server, let entries):
            logger.notice("\(entries) damaged entries of \(server) were fetched from the other members")
        case .readFailed(let server, let reason):
            logger.error("files of \(server) can't be read, which is tried again: \(reason)")
        case .machineHalted(let server, let reason):
            logger.error("the machine of \(server) has failed and applies nothing more: \(reason)")
        }
    }

    // MARK: The end

    /// Tells the others, sends what is left and closes every connection.
    func stop() {
        tellTime()
        kernel.stop()
        _ = kernel.endTurn()
        kernel.sayGoodbye()
        carryOut()
        isStopped = true
        alarm?.cancel()
        for connection in connections.values { connection.close() }
    }
}

extension ClientBootstrap {
    fileprivate func peerOptions() -> ClientBootstrap {
        channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: NodeRuntime.receiveAllocator)
            .channelOption(.writeBufferWaterMark, value: NodeRuntime.waterMark)
    }
}

extension NodeRuntime {
    /// One large read a turn is what makes batches.
    static let receiveAllocator = AdaptiveRecvByteBufferAllocator(minimum: 4_096, initial: 65_536, maximum: 262_144)
    /// Above the high mark a client is not read from until it has read what it asked for.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 4 << 20, high: 8 << 20)
}
