import FlotillaConsensus
import FlotillaKernel
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// A whole fleet with its clients in one thread: everything that happens in it follows from its plan.
///
/// It goes through four phases: the clusters start, faults happen while clients work, everything is healed and must
/// serve again within a bounded time, and the clients read the end of everything.
package final class World {
    package let plan: Plan
    package let scheduler = Scheduler()
    package var trace: Trace
    package let network: SimulatedNetwork
    package private(set) var computers: [Computer] = []
    /// What was broken first; nothing happens after it.
    package private(set) var violation: Violation?
    package var report = Report()

    let ledger = ApplyLedger()
    let executor = SimulatedExecutor()
    private(set) lazy var checker = Checker(world: self)
    let drawer: WorkDrawer
    private var clients: [SimulatedClient] = []
    private lazy var owner = Operator(world: self)
    private(set) lazy var demolisher = Demolisher(world: self)
    private lazy var faults = FaultInjector(world: self)
    /// What the clusters are called at the moment.
    private(set) var clusterNames: [String]
    /// Everything that clients have asked.
    package private(set) var history: [Attempt] = []
    /// Whether clients should think of new work.
    private(set) var wantsWork = false
    private var isOver = false

    /// The machines that all nodes have, where they are not those of simulations, and what they are started with.
    let machines: MachineRegistry?
    let machineSettings: ByteBuffer
    /// The handlers that machines have wanted called.
    private var calls: [HandlerCall] = []

    /// A world at its beginning.
    ///
    /// - Parameters:
    ///   - machines: the machines that all nodes have; those of simulations, which are watched, by default.
    ///   - settings: what the machines are started with.
    package init(
        _ plan: Plan, keepingEvents: Int = 400, machines: MachineRegistry? = nil, settings: ByteBuffer = ByteBuffer()
    ) {
        self.plan = plan
        self.machines = machines
        machineSettings = settings
        trace = Trace(keeping: keepingEvents)
        network = SimulatedNetwork(scheduler: scheduler, seed: plan.seed, settings: plan.options.network)
        drawer = WorkDrawer(seed: plan.seed, keys: plan.options.keys)
        clusterNames = plan.options.clusters.map(\.name)
        makeComputers()
        clients = (0..<plan.options.clients).map { SimulatedClient(number: $0, world: self) }
        connectParts()
    }

    private func makeComputers() {
        var random = Randomness.of("clocks", seed: plan.seed)
        for number in 0..<plan.options.nodes {
            let disk = SimulatedDisk(
                scheduler: scheduler, random: .of("disk", number, seed: plan.seed), settings: plan.options.disk)
            let clock = MachineClock(base: random.time(1_000_000_000...1_000_000_000_000))
            disk.mistrust = { [unowned self] in fail(.durability, "n\(number + 1) goes on: \($0)") }
            computers.append(Computer(number: number, disk: disk, clock: clock, world: self))
        }
    }

    private func connectParts() {
        ledger.fail = { [unowned self] in fail(.stateMachineSafety, $0) }
        executor.onEnqueue = { [unowned self] in
            scheduler.after(0) { [executor] in executor.drain() }
        }
        network.monitor = { [unowned self] bytes, from, to in
            if from < SimulatedNetwork.clientsStart, to < SimulatedNetwork.clientsStart {
                checker.hear(bytes, from: from)
            }
        }
    }

    /// Whether anything still happens.
    var isRunning: Bool { !isOver && violation == nil }

    /// How much of the time with faults is over, in thousandths.
    var progress: Int { Int(min(1_000, scheduler.now * 1_000 / plan.options.activeNanoseconds)) }

    /// The newest version of machines that whatever is started now can run: releases come while faults happen.
    var newestVersion: MachineVersion {
        plan.options.upgrades ? MachineVersion(UInt32(min(3, progress / 250))) : 0
    }

    /// Whether so much was asked that more would only take time.
    var isRich: Bool { history.count > 1_500 }

    /// What a cluster is called at the moment.
    func name(of cluster: Int) -> ClusterName {
        // The names are right by construction: a machine's name and numbers.
        try! ClusterName(clusterNames[cluster])
    }

    /// Whether all clusters have been started.
    var hasStartedAll: Bool { owner.hasStartedAll }

    /// A cluster has a new leader.
    func elected(_ cluster: ClusterName) {
        guard let number = clusterNames.firstIndex(of: cluster.description) else { return }
        faults.elected(number)
    }

    /// Notes that something happened that never may.
    func fail(_ rule: Violation.Rule, _ text: String) { fail(Violation(rule, text)) }

    func fail(_ violation: Violation) {
        if self.violation == nil { self.violation = violation }
    }

    // MARK: The course of things

    /// Lets everything happen.
    ///
    /// - Returns: what was broken, if anything.
    package func run() -> Violation? {
        defer { finish() }
        begin()
        if plan.options.startsCalmly, !awaitStart() { return late("start") }
        work()
        note("faults happen")
        faults.plan(from: scheduler.now)
        demolisher.plan()
        _ = advance(for: plan.options.activeNanoseconds) { false }
        return settle()
    }

    /// Switches all computers on, and has the clusters started.
    package func begin() {
        note("the clusters start")
        for computer in computers { computer.startSoon(after: computer.random.time(0...50_000_000)) }
        owner.start()
    }

    /// Lets time pass until all clusters are started.
    ///
    /// - Returns: false when that takes too long.
    package func awaitStart() -> Bool { advance(for: Self.startLimit) { self.owner.hasStartedAll } }

    /// Lets the clients work.
    package func work() {
        wantsWork = true
        for client in clients { client.start() }
    }

    /// How long, in virtual time, it may take until clusters have started that nothing disturbs.
    static let startLimit: UInt64 = 20_000_000_000
    /// How long it may take until everything serves again after the last fault is healed.
    static let healLimit: UInt64 = 40_000_000_000

    /// Heals everything: then all must work again, and what clients read at the end must fit all that they saw before.
    package func settle() -> Violation? {
        note("everything is healed")
        faults.heal()
        guard violation == nil else { return violation }
        for computer in computers { computer.upgrade() }
        let healed = scheduler.now
        guard advance(for: Self.healLimit, until: { self.owner.hasStartedAll && self.allClustersServe }) else {
            return late("serve again")
        }
        report.slowestRecovery = max(report.slowestRecovery, scheduler.now - healed)
        guard serveWithoutStraggler() else { return late("serve without a node") }
        guard advance(for: Self.healLimit, until: { self.allNodesServe && self.allClustersServe }) else {
            return late("serve again")
        }
        guard advance(for: Self.healLimit, until: { self.demolisher.finish() }) else {
            return late("go for good: \(demolisher.remains)")
        }
        _ = advance(for: 1_000_000_000) { false }
        wantsWork = false
        guard advance(for: Self.healLimit, until: { self.areEqual }) else { return late("agree") }
        note("clients write once more, and read the end")
        var open = plan.options.clusters.count
        for (cluster, options) in plan.options.clusters.enumerated() {
            ask(drawer.lastWrite(to: options.machine), of: cluster) { open -= 1 }
        }
        guard advance(for: Self.healLimit, until: { open == 0 }) else { return late("take commands") }
        for (cluster, options) in plan.options.clusters.enumerated() {
            for key in 0..<(options.machine == "counter" ? 1 : plan.options.keys) {
                open += 1
                ask(WorkDrawer.lastWord(of: options.machine, key: key), of: cluster) { open -= 1 }
            }
        }
        guard advance(for: Self.healLimit, until: { open == 0 && self.areEqual }) else { return late("agree") }
        guard advance(for: Self.healLimit, until: { self.machinesWaitForNothing && self.areEqual }) else {
            return late("tell their machines what they wait for")
        }
        note("the end")
        compareMachines()
        for cluster in plan.options.clusters.indices {
            report.versionsRisen += UInt64(leader(of: cluster)?.server.machineVersion.rawValue ?? 0)
        }
        return violation ?? judgeHistory()
    }

    /// Has something asked until it is answered. A write that is asked again is another one, as far as histories go.
    func ask(_ work: ClientWork, of cluster: Int, done: @escaping () -> Void) {
        clients[cluster % clients.count].order(work, of: cluster) { [unowned self] attempt in
            if attempt.answer != nil { return done() }
            let again = work.isQuery ? work : drawer.lastWrite(to: plan.options.clusters[cluster].machine)
            ask(again, of: cluster, done: done)
        }
    }

    private func late(_ what: String) -> Violation? {
        if violation == nil { fail(.liveness, "the clusters do not \(what) in time: \(stateOfClusters)") }
        return violation
    }

    /// Lets time pass until something holds, or at most so long.
    package func advance(for limit: UInt64, until holds: () -> Bool) -> Bool {
        let end = scheduler.now + limit
        var nextLook = scheduler.now
        while violation == nil {
            if scheduler.now >= nextLook {
                if holds() { return true }
                nextLook = scheduler.now + 20_000_000
            }
            guard scheduler.step(until: end) else { return false }
        }
        return false
    }

    /// Ends all processes, so that nothing is left behind; the last that is done with a world.
    package func finish() {
        isOver = true
        report.worlds = 1
        report.virtualNanoseconds = scheduler.now
        for computer in computers { computer.kill("the world ends") }
        report.happenings = scheduler.happened
        faults.count(into: &report)
        // Jobs that were cut off come to their ends by the failures of their operations.
        let end = scheduler.now + 1_000_000
        while scheduler.step(until: end) {}
        scheduler.forgetAll()
        network.forgetAll()
    }

    func note(_ phase: String) { trace.add(scheduler.now, .phase, note: phase) }

    // MARK: What happens

    /// A cluster could not be formed under its name, so it is called otherwise from now on.
    func rename(_ cluster: Int, attempt: Int) {
        clusterNames[cluster] = "\(plan.options.clusters[cluster].name)-\(attempt)"
    }

    func noteDelivery(_ bytes: ByteBuffer, from: Int, to: Int) {
        let checksum = bytes.withUnsafeReadableBytes { Checksum.crc32c($0) }
        let type = bytes.getInteger(at: bytes.readerIndex + 4, as: UInt8.self) ?? 0
        trace.add(
            scheduler.now, .frames, UInt64(from), UInt64(to), UInt64(bytes.readableBytes),
            UInt64(checksum) | UInt64(type) << 32)
    }

    func wanted(_ calls: [HandlerCall]) { if machines != nil { self.calls += calls } }

    /// Takes the handlers that machines have wanted called since the last time.
    package func takeCalls() -> [HandlerCall] {
        defer { calls = [] }
        return calls
    }

    func heard(_ event: KernelEvent, from host: Int) {
        switch event {
        case .machineHalted(let server, let reason):
            if isRemoved(server, from: host) { break }
            guard !isTooOld(server, on: host) else {
                report.oldServers += 1
                break
            }
            fail(.kernel, "the machine of \(server) is halted: \(reason)")
        case .snapshotFailed(let server, let reason): fail(.kernel, "no snapshot of \(server) can be taken: \(reason)")
        case .serverLost(let uid, _, let reason):
            report.lostServers += 1
            guard !computers[host].isDamaged else { break }
            fail(
                .recovery,
                "node \(computers[host].name) loses server \(uid) on a disk that nobody has damaged: \(reason)")
        case .repairBegan: break
        case .repairEnded(_, let entries): report.repairedEntries += entries
        case .readFailed: report.failedReads += 1
        case .memberReplaced: report.replacedMembers += 1
        case .diskSlow: report.slowDisks += 1
        case .diskRecovered, .peerUp, .peerRefused, .peerDown, .leaderChanged, .serverStarted, .serverDeleted,
            .effectDropped, .memberRefused:
            break
        }
    }

    /// Whether the machine of a server needs a version that its node does not have; it has it at the end.
    private func isTooOld(_ id: ServerID, on host: Int) -> Bool {
        let servers = computers[host].serving?.kernel?.hostedServers ?? []
        return servers.contains { $0.creation.id == id && $0.failure?.isOfVersion ?? false }
    }

    /// Whether a server on a damaged disk was removed from its cluster: it has nobody to fetch anything from, and nobody
    /// needs it.
    private func isRemoved(_ id: ServerID, from host: Int) -> Bool {
        guard computers[host].isDamaged else { return false }
        let servers = computers[host].serving?.kernel?.hostedServers ?? []
        return servers.contains { server in
            let isOut = server.core.isRemoved || server.core.configuration.member(server.uid) == nil
            return server.creation.id == id && isOut
        }
    }

    func invoked(_ attempt: Attempt) {
        history.append(attempt)
        attempt.committedBefore = clusterID(of: attempt.cluster).map { ($0, checker.lastCommitted(of: $0)) }
        report.attempts += 1
        trace.add(scheduler.now, .invoked, UInt64(attempt.client), UInt64(history.count), note: "\(attempt.work)")
    }

    func answered(_ attempt: Attempt, index: LogIndex) {
        report.answers += 1
        trace.add(
            scheduler.now, .answered, UInt64(attempt.client), index.rawValue,
            note: "\(attempt.work) -> \(attempt.answer.map { "\($0)" } ?? "")")
        guard let id = clusterID(of: attempt.cluster) else { return }
        if attempt.work.isQuery {
            checker.answered(attempt, at: index, cluster: id)
        } else {
            checker.acknowledged(attempt, at: index, cluster: id)
        }
    }

    func rejected(_ attempt: Attempt, _ error: FlotillaError) {
        trace.add(scheduler.now, .rejected, UInt64(attempt.client), UInt64(error.code.rawValue))
        if error.code == .internalError { fail(.kernel, "\(attempt.work) of \(attempt.cluster) is refused: \(error)") }
    }

    func givenUp(_ attempt: Attempt) {
        if !attempt.hadNoEffect { report.unknown += 1 }
        trace.add(scheduler.now, .unknown, UInt64(attempt.client), attempt.hadNoEffect ? 0 : 1)
    }
}
