import FlotillaStorage

/// The threads on which the background jobs of servers are done: reads, for which somebody waits, have one of their own.
final class JobThreads: Sendable {
    private let worker: StorageWorker
    private let slow: BackgroundThread
    private let urgent: BackgroundThread

    init(worker: StorageWorker, slow: BackgroundThread, urgent: BackgroundThread) {
        self.worker = worker
        self.slow = slow
        self.urgent = urgent
    }

    /// Does a job, and tells what became of it on whatever thread it was done.
    func run(_ job: StorageJob, then: @escaping @Sendable (StorageOutcome) -> Void) {
        let thread = job.isUrgent ? urgent : slow
        Task(executorPreference: thread.executor) { [worker] in then(await worker.run(job)) }
    }
}
