import FlotillaStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The disk of one simulated machine. It outlives the processes that mount it.
///
/// Every operation completes later, after a time that is drawn for it, so that operations which are in flight together
/// complete in any order. What it does to the disk happens when it completes. Contents and names are kept twice: as
/// readers see them, and as a power failure would leave them.
///
/// Unchecked, because a world runs on one thread: nothing of a disk is ever touched by two.
package final class SimulatedDisk: @unchecked Sendable {
    let scheduler: Scheduler
    var random: Randomness
    let settings: DiskSettings

    var names = DiskNames()
    var handles: [Int32: DiskHandle] = [:]
    /// The open files of which a write or a sync has failed: whatever the system says of them later can't be trusted.
    private var poisoned: Set<Int32> = []
    /// The operations in flight; whoever goes through them does so in the order of their numbers.
    var jobs: [Int: DiskJob] = [:]
    private var lastJob = 0
    private var lastFile = 0
    private var lastHandle: Int32 = 2
    private var lastMount = 0
    private var living: Set<Int> = []

    /// What is to fail next.
    var planned = PlannedFaults()
    private var stalledUntil: UInt64 = 0
    /// What waits while the disk stands still, for as long as nobody knows; `nil` while it goes on.
    private var halted: [Int]?

    /// What harm it has done.
    package internal(set) var counts = DiskFaultCounts()
    /// How many operations have taken effect.
    package internal(set) var operations = 0
    /// Called before each operation takes effect, with its running number from 1 on. It may end processes or cut the
    /// power; whether the operation still happens is then left to chance.
    package var crashPoint: ((Int, FileOperation) -> Void)?
    /// Called when a process goes on writing or syncing a file of which a write or a sync has failed.
    package var mistrust: ((String) -> Void)?
    /// Whether there is no room: nothing is created and no file grows, but what there is can be overwritten.
    package var isFull = false
    /// How many times slower than usual the disk is.
    package var slowness: UInt64 = 1 { didSet { if slowness > 1 { hasBeenSlow = true } } }
    /// Whether it was ever slower than usual, or stood still.
    private(set) var hasBeenSlow = false

    /// An empty disk, with nothing but its root directory.
    package init(scheduler: Scheduler, random: Randomness, settings: DiskSettings = DiskSettings()) {
        self.scheduler = scheduler
        self.random = random
        self.settings = settings
    }

    /// Makes the disk available to a process; a process may do this more than once.
    ///
    /// - Parameter handler: takes the completions, never from inside `submit`.
    package func mount(_ handler: @escaping FileCompletionHandler) -> DiskMount {
        lastMount += 1
        living.insert(lastMount)
        return DiskMount(self, number: lastMount, handler: handler)
    }

    /// Lets nothing complete before a time.
    package func stall(until time: UInt64) {
        stalledUntil = max(stalledUntil, time)
        counts.stalls += 1
        hasBeenSlow = true
    }

    /// Lets nothing complete until `goOn`.
    package func standStill() {
        halted = halted ?? []
        counts.stalls += 1
        hasBeenSlow = true
    }

    /// Lets everything complete that has waited.
    package func goOn() {
        let waiting = halted ?? []
        halted = nil
        for number in waiting { plan(number, at: scheduler.now) }
    }

    func makeFile() -> DiskFile {
        lastFile += 1
        return DiskFile(number: lastFile)
    }

    func makeHandle(_ handle: DiskHandle) -> OpenFile {
        lastHandle += 1
        handles[lastHandle] = handle
        return OpenFile(lastHandle)
    }

    /// Takes a mount out of the living ones; `false` when it was none.
    func bury(_ mount: Int) -> Bool { living.remove(mount) != nil }

    /// The living mounts in the order in which they were made.
    var livingMounts: [Int] { living.sorted() }
}

// MARK: - Operations on their way

extension SimulatedDisk {
    func submit(_ operation: FileOperation, token: UInt64, mount: Int, handler: @escaping FileCompletionHandler) {
        var job = DiskJob(
            operation: operation, token: token, mount: mount, handler: handler, submitted: scheduler.now,
            handle: operation.file.flatMap { handles[$0.rawValue] }.flatMap { $0.mount == mount ? $0 : nil })
        guard living.contains(mount) else {
            deliverFailure(of: job)
            return
        }
        if let file = operation.file, operation.changesContents, poisoned.contains(file.rawValue) {
            mistrust?("\(operation.name) of \(job.path), of which an earlier one has failed")
        }
        if let file = job.handle?.file, job.isSync { job.dirty = file.dirty }
        job.lastChange = names.lastChange
        lastJob += 1
        jobs[lastJob] = job
        let time = random.time(settings.duration(of: operation, isDurable: job.isDurableWrite)) * slowness
        plan(lastJob, at: scheduler.now + time)
    }

    private func plan(_ number: Int, at time: UInt64) {
        scheduler.at(time) { [self] in complete(number) }
    }

    private func complete(_ number: Int) {
        guard let job = jobs[number] else { return }
        if halted != nil {
            halted?.append(number)
            return
        }
        if scheduler.now < stalledUntil {
            plan(number, at: stalledUntil)
            return
        }
        operations += 1
        crashPoint?(operations, job.operation)
        // The crash point may have ended its process.
        guard jobs.removeValue(forKey: number) != nil else { return }
        let result = Result { () throws(DiskError) in try perform(job) }
        if case .failure(let error) = result, error.errno == EIO, job.operation.changesContents,
            let file = job.operation.file
        {
            poisoned.insert(file.rawValue)
        }
        job.handler(job.completion(result, at: scheduler.now))
    }

    /// Tells a process that has ended that its operation failed, so that nothing waits for ever.
    func deliverFailure(of job: DiskJob) {
        let scheduler = self.scheduler
        scheduler.after(1) { job.handler(job.completion(.failure(DiskError(EIO)), at: scheduler.now)) }
    }
}

extension FileOperation {
    /// Whether it changes what is in a file, or makes that durable.
    fileprivate var changesContents: Bool {
        switch self {
        case .write, .zeroFill, .writeOut, .syncData, .syncAll: true
        case .open, .close, .read, .lock, .syncDirectory, .rename, .remove, .list, .makeDirectory,
            .removeDirectory, .size:
            false
        }
    }

    /// The open file that it is about.
    fileprivate var file: OpenFile? {
        switch self {
        case .close(let file), .read(let file, _, _, _), .write(let file, _, _, _), .zeroFill(let file, _),
            .writeOut(let file, _, _), .syncData(let file), .syncAll(let file), .lock(let file):
            file
        case .open, .syncDirectory, .rename, .remove, .list, .makeDirectory, .removeDirectory, .size: nil
        }
    }
}

// MARK: - What tests look at

extension SimulatedDisk {
    /// What a reader of a file sees; `nil` when there is none.
    package func contents(_ path: String) -> [UInt8]? { file(at: path)?.cached }

    /// What is durable of the file that readers see, whether or not its name is; `nil` when there is none.
    package func durableContents(_ path: String) -> [UInt8]? { file(at: path)?.durable }

    /// Whether a name would be there after a power failure that loses all it may.
    package func isDurable(_ path: String) -> Bool { names.durableEntry(path) != nil }

    /// Whether there is a file or directory.
    package func exists(_ path: String) -> Bool { names[path] != nil }

    /// The names in a directory in ascending order.
    package func names(in directory: String) -> [String] { names.names(in: directory) }

    /// The file at a path.
    func file(at path: String) -> DiskFile? {
        if case .file(let file) = names[path] { file } else { nil }
    }
}
