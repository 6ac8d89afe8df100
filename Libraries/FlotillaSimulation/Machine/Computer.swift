import FlotillaStorage
import FlotillaWire

/// One computer of a world: a disk and clocks that outlive the processes on it, and at most one process of a node.
package final class Computer {
    /// From 0 on; also its number as a host of the network.
    package let number: Int
    package let name: NodeName
    package let address: NodeAddress
    package let disk: SimulatedDisk
    package var clock: MachineClock
    package private(set) var process: NodeProcess?
    /// Whether it has power.
    package private(set) var isPowered = true
    /// Whether its disk was damaged on purpose, so that a refusal to start is what should happen.
    package var isDamaged = false
    /// Whether it refuses to start because of that.
    package internal(set) var isRefusing = false
    /// How many processes it has seen.
    package private(set) var lives = 0

    /// A fault that waits for the right moment.
    struct Ambush {
        var moment: Fault.Moment
        var strike: () -> Void
    }

    unowned let world: World
    /// What waits for the log to write something certain; it strikes once.
    var ambush: Ambush?
    var random: Randomness
    /// How many pauses are in force.
    private var pauses = 0
    /// What has happened to the process while it was paused.
    private var held: [() -> Void] = []
    /// The identity that the last process found on the disk.
    var lastNodeID = NodeID.none
    /// Whether a process is to be started once the one that is stopping has ended.
    private var isStartWanted = false
    /// Whether a start is planned.
    private var isStartPlanned = false

    init(number: Int, disk: SimulatedDisk, clock: MachineClock, world: World) {
        self.number = number
        self.disk = disk
        self.clock = clock
        self.world = world
        // The names are right by construction: a letter and a number.
        name = try! NodeName("n\(number + 1)")
        address = NodeAddress(host: "n\(number + 1)", port: 7401)
        random = .of("computer", number, seed: world.plan.seed)
    }

    /// The process if it runs and serves.
    package var serving: NodeProcess? { process.flatMap { $0.isServing ? $0 : nil } }

    // MARK: Life and death

    /// Starts a process unless one runs, or the computer is off or refuses.
    package func start() {
        if let process, process.isStopping { isStartWanted = true }
        guard isPowered, process == nil, !isRefusing, world.isRunning else { return }
        isStartWanted = false
        lives += 1
        world.trace.add(world.scheduler.now, .processStarted, UInt64(number), UInt64(lives))
        let process = NodeProcess(on: self, life: lives)
        self.process = process
        process.start()
    }

    /// Starts a process after a while, as a supervisor does.
    package func startSoon(after delay: UInt64) {
        guard !isStartPlanned else { return }
        isStartPlanned = true
        world.scheduler.after(delay) { [self] in
            isStartPlanned = false
            start()
        }
    }

    /// Ends the process at once, as SIGKILL does.
    package func kill(_ reason: String) {
        guard let process else { return }
        self.process = nil
        held.removeAll()
        world.trace.add(world.scheduler.now, .processEnded, UInt64(number), note: reason)
        world.network.processEnded(number)
        process.end()
        world.checker.forget(number)
    }

    /// Records are on their way to the log: the moment that an ambush may wait for.
    func writes(_ records: [WALRecord]) {
        guard let ambush, records.contains(where: ambush.moment.isMeant) else { return }
        self.ambush = nil
        ambush.strike()
    }

    /// Starts the newest code in place of older code.
    func upgrade() {
        guard let process, process.highestVersion < world.newestVersion else { return }
        kill("it is upgraded")
        startSoon(after: random.time(0...500_000_000))
    }

    /// Takes the power away: what was not durable is at the mercy of the disk.
    package func losePower() {
        guard isPowered else { return }
        world.trace.add(world.scheduler.now, .machineOff, UInt64(number))
        world.network.powerLost(number)
        if let process {
            self.process = nil
            held.removeAll()
            process.end()
            world.checker.forget(number)
        }
        isPowered = false
        disk.losePower()
    }

    /// Gives the power back and starts a process.
    package func restorePower() {
        guard !isPowered else { return }
        isPowered = true
        world.network.powerReturned(number)
        start()
    }

    /// A process has ended by itself.
    func processEnded(_ process: NodeProcess, _ reason: String, restartAfter delay: UInt64?) {
        guard self.process === process else { return }
        kill(reason)
        if let delay { startSoon(after: delay) } else if isStartWanted { startSoon(after: 0) }
    }

    /// Replaces the disk by an empty one: from now on this is another node under the old name.
    package func wipe() {
        kill("its disk is replaced")
        disk.wipe()
        lastNodeID = .none
        world.checker.wiped(number)
        isDamaged = false
        isRefusing = false
    }

    /// Whether its disk is that of a node, as far as a process on it has found out.
    func hosts(_ node: NodeID) -> Bool { lastNodeID == node }

    // MARK: Pauses

    /// Stops the process where it is, as SIGSTOP does.
    package func pause() { pauses += 1 }

    /// Whether the process stands still.
    var isPaused: Bool { pauses > 0 }

    /// Lets the process go on, unless another pause is in force.
    package func resume() {
        pauses -= 1
        while pauses == 0, !held.isEmpty { held.removeFirst()() }
    }

    /// Does something to the process now, or when it is not paused any more, in order.
    func whenAwake(_ process: NodeProcess, _ body: @escaping () -> Void) {
        guard self.process === process else { return }
        if pauses == 0, held.isEmpty {
            body()
        } else {
            held.append { [self] in if self.process === process { body() } }
        }
    }
}
