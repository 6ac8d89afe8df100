/// One thread for tasks that block in file operations: recovery, preparing files, later flushing and snapshots. A
/// task that prefers its executor runs all its steps there.
public final class BackgroundThread: Sendable {
    /// Runs tasks on a thread's queue, oldest first.
    private final class Executor: TaskExecutor {
        struct State: Sendable {
            var jobs: [UnownedJob] = []
            var stopping = false
        }

        let monitor = Monitor(State())

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            monitor.withLock { $0.jobs.append(job) }
        }

        func run() {
            while true {
                let (jobs, stopping) = monitor.wait(until: { !$0.jobs.isEmpty || $0.stopping }) { state in
                    defer { state.jobs.removeAll(keepingCapacity: true) }
                    return (state.jobs, state.stopping)
                }
                if jobs.isEmpty, stopping { return }
                for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
            }
        }
    }

    private let own: Executor
    private let thread: DedicatedThread

    /// What tasks must prefer to run on the thread.
    public var executor: any TaskExecutor { own }

    /// Starts the thread; at most 15 bytes of its name are kept.
    public init(name: String) {
        let own = Executor()
        self.own = own
        thread = DedicatedThread(name: name) { own.run() }
    }

    /// Lets what is queued run and ends the thread. Must be called once, not on the thread itself, and when no task
    /// that prefers it is waiting for anything but files.
    public func stop() {
        own.monitor.withLock { $0.stopping = true }
        thread.join()
    }
}
