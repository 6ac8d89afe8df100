import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import NIOCore

/// One life of a node: the kernel and the storage that run in a real node, with the simulated world around them
/// instead of an event loop, a log thread and a background thread.
///
/// Sendable without a lock because a world lives on one thread; the jobs that carry it run on the world's executor.
package final class NodeProcess: Party, @unchecked Sendable {
    enum Phase {
        case starting
        case serving
        case stopping
        case ended
    }

    let computer: Computer
    let life: Int
    /// The newest version of machines that its code can run.
    let highestVersion: MachineVersion
    var phase = Phase.starting
    private(set) var kernel: Kernel?
    var log: WriteAheadLog?
    /// Everything that this process has opened on its disk.
    var mounts: [DiskMount] = []
    var files: AsyncFiles?
    var preparer: WALFilePreparer?
    var worker: StorageWorker?
    package private(set) var nodeID = NodeID.none

    var connections: [LinkID: ConnectionEnd] = [:]
    /// The kernel's links by the keys of the ends that they go over.
    var links: [UInt64: Link] = [:]
    /// What has come of a frame that is not whole yet, by connection.
    var unfinished: [UInt64: ByteBuffer] = [:]
    private var isTurnPlanned = false
    private var alarmAt: Instant?
    private var alarmNumber: UInt64 = 0
    /// When what was handed to the log last gets there, and what the log handed back last; both keep their order.
    var lastRecords: UInt64 = 0
    var lastNotices: UInt64 = 0
    var idleNumber: UInt64 = 0

    var world: World { computer.world }
    var scheduler: Scheduler { world.scheduler }

    init(on computer: Computer, life: Int) {
        self.computer = computer
        self.life = life
        highestVersion = computer.world.newestVersion
    }

    /// Whether the kernel runs.
    package var isServing: Bool { phase == .serving }
    package var isGone: Bool { phase == .ended }
    var isStopping: Bool { phase == .stopping }
    var isAlive: Bool { phase != .ended }

    // MARK: Starting

    /// Opens the data directory, recovers, and begins to serve.
    func start() {
        let files = AsyncFiles { self.mount($0) }
        self.files = files
        let newNodeID = NodeID(high: computer.random.bits(), low: computer.random.bits() | 1)
        Task(executorPreference: world.executor) { [self] in
            do throws(StorageError) {
                let directory = try await DataDirectory.open(
                    path: "/data", name: computer.name, newNodeID: newNodeID, files: files)
                let settings = world.plan.options.walSettings(in: directory.walPath)
                let mode = try await settings.resolveWriteMode(files)
                let recovered = try await Recovery.run(
                    settings: settings, nodeID: directory.nodeID, dataDirectory: directory.path, files: files)
                serve(directory, settings: settings, mode: mode, recovered: recovered)
            } catch {
                failedToStart(error)
            }
        }
    }

    /// A view of the disk whose completions wait while the process is paused.
    func mount(_ handler: @escaping FileCompletionHandler) -> DiskMount {
        let mount = computer.disk.mount { [self] completion in
            // A process that has ended still hears of its failed operations, so that its jobs come to their ends.
            guard isAlive else { return handler(completion) }
            computer.whenAwake(self) { handler(completion) }
        }
        mounts.append(mount)
        return mount
    }

    private func failedToStart(_ error: StorageError) {
        guard isAlive else { return }
        if error.code == .fileSystem {
            checkCause(error)
            computer.processEnded(self, "can't start: \(error)", restartAfter: 1_000_000_000)
            return
        }
        if computer.isDamaged {
            computer.isRefusing = true
            world.report.refusedStarts += 1
        } else {
            world.fail(.recovery, "node \(computer.name) refuses a disk that nobody has damaged: \(error)")
        }
        computer.processEnded(self, "refuses to start: \(error)", restartAfter: nil)
    }

    private func serve(
        _ directory: DataDirectory, settings: WALSettings, mode: WALWriteMode, recovered: RecoveredNode
    ) {
        guard isAlive else { return }
        nodeID = directory.nodeID
        computer.lastNodeID = directory.nodeID
        world.checker.recovered(
            recovered, on: computer.number, node: directory.nodeID, incarnation: directory.incarnation)
        let identity = Hello.Node(
            id: directory.nodeID, name: computer.name, incarnation: directory.incarnation, address: computer.address)
        kernel = Kernel(
            identity: identity, configuration: world.plan.options.kernelConfiguration,
            registry: world.machines ?? world.ledger.machines(of: computer.number, highest: highestVersion),
            seeds: world.computers.map { ($0.name, $0.address) }, recovered: recovered,
            seed: computer.random.bits(), now: localTime, wallClock: computer.clock.wall(at: scheduler.now))
        world.trace.add(
            scheduler.now, .processReady, UInt64(computer.number), directory.incarnation.rawValue,
            UInt64(recovered.servers.count))
        world.report.note(recovered.report)
        phase = .serving
        if let files {
            worker = StorageWorker(
                dataDirectory: directory.path, limits: world.plan.options.segmentLimits,
                partBytes: world.plan.options.partBytes, files: files)
        }
        openLog(settings: settings, mode: mode, recovered: recovered)
        world.network.listen(computer.number) { [self] end in accept(end) }
        tellTime()
        kernel?.advance()
        touched()
    }

    /// The time by the computer's own clock.
    var localTime: Instant { computer.clock.monotonic(at: scheduler.now) }

    func tellTime() { kernel?.setTime(localTime, wallClock: computer.clock.wall(at: scheduler.now)) }

    // MARK: The end

    /// Ends the process in the middle of whatever it does.
    func end() {
        if let kernel {
            world.checker.ended(kernel)
            kernel.takeApart()
        }
        phase = .ended
        for mount in mounts { mount.end() }
        // The process and what it has opened hold on to each other until here.
        mounts.removeAll()
        files = nil
        preparer = nil
        worker = nil
        kernel = nil
        log = nil
        connections.removeAll()
        links.removeAll()
        unfinished.removeAll()
    }

    /// Stops in good order, as on SIGTERM.
    func stop() {
        guard phase == .serving, let kernel else { return }
        phase = .stopping
        tellTime()
        kernel.stop()
        _ = kernel.endTurn()
        world.checker.look(at: kernel, on: computer.number)
        kernel.sayGoodbye()
        carryOut()
        world.checker.look(at: kernel, on: computer.number)
        // Behind the records that are on their way to the log.
        scheduler.at(lastRecords) { [self] in
            computer.whenAwake(self) { [self] in
                log?.stop()
                endIfStopped()
            }
        }
    }

    func endIfStopped() {
        guard phase == .stopping, log?.isStopped ?? true else { return }
        computer.processEnded(self, "stopped", restartAfter: nil)
    }

    // MARK: Turns

    /// Something has happened: the turn ends a little later, so that what comes together is dealt with together.
    func touched() {
        guard !isTurnPlanned, isServing else { return }
        isTurnPlanned = true
        scheduler.after(computer.random.time(world.plan.options.turnNanoseconds)) { [self] in
            computer.whenAwake(self) { [self] in endTurn() }
        }
    }

    private func endTurn() {
        isTurnPlanned = false
        guard isServing, let kernel else { return }
        tellTime()
        let more = kernel.endTurn()
        carryOut()
        world.checker.look(at: kernel, on: computer.number)
        setAlarm()
        if more { touched() }
    }

    private func carryOut() {
        guard let kernel else { return }
        let output = kernel.takeOutput()
        if !output.records.isEmpty { submit(output.records) }
        for link in output.links { flush(link) }
        for dial in output.dials { connect(dial) }
        for job in output.jobs { start(job) }
        if let failure = output.failure { diskFailed(failure) }
        world.wanted(output.calls)
        for event in output.events { world.heard(event, from: computer.number) }
    }

    private func setAlarm() {
        guard let kernel else { return }
        let deadline = kernel.deadline
        if let alarmAt, alarmAt <= deadline { return }
        planAlarm(deadline)
    }

    private func planAlarm(_ deadline: Instant) {
        alarmAt = deadline
        alarmNumber += 1
        let number = alarmNumber
        scheduler.at(computer.clock.time(of: deadline, now: scheduler.now)) { [self] in
            guard number == alarmNumber else { return }
            computer.whenAwake(self) { [self] in alarmRang(number) }
        }
    }

    private func alarmRang(_ number: UInt64) {
        guard number == alarmNumber, isServing else { return }
        alarmAt = nil
        tellTime()
        kernel?.advance()
        touched()
    }

    /// Lets an operator do something with the kernel, unless nothing can be done with it at the moment.
    func act<Result>(_ body: (Kernel) -> Result) -> Result? {
        guard isServing, !computer.isPaused, let kernel else { return nil }
        tellTime()
        defer {
            world.checker.noteConfigurations(of: kernel, on: computer.number)
            touched()
        }
        return body(kernel)
    }

    /// The clock goes at another rate now, so the alarm is due at another time.
    func clockChanged() {
        if let alarmAt { planAlarm(alarmAt) }
    }
}
