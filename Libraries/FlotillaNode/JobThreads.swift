import FlotillaStorage

/// The threads on which a node does what blocks on files. Reads, for which somebody waits, have one of their own.
final class JobThreads: Sendable {
    /// Does everything but reads, and prepares the files of the log.
    let background = BackgroundThread(name: "flotilla-io")
    private let reading = BackgroundThread(name: "flotilla-read")
    private let running = Monitor(0)

    /// Has a worker do a job, and tells what became of it on whatever thread it was done.
    func run(_ job: StorageJob, by worker: StorageWorker, then: @escaping @Sendable (StorageOutcome) -> Void) {
        let thread = job.isUrgent ? reading : background
        running.withLock { $0 += 1 }
        Task(executorPreference: thread.executor) { [running] in
            then(await worker.run(job))
            running.withLock { $0 -= 1 }
        }
    }

    /// Waits for all jobs, also those that rest and so stand in no queue, and ends the threads. Blocks; must be called
    /// once, when nobody starts jobs any more.
    func stop() {
        running.wait(until: { $0 == 0 }, then: { _ in })
        background.stop()
        reading.stop()
    }
}
