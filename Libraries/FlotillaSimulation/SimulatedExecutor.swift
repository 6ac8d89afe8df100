import DequeModule

/// Runs the jobs of tasks that prefer it one after the other, on the one thread that drives the world.
///
/// Unchecked, because a world runs on one thread: jobs are enqueued by what happens in it, and nothing else.
package final class SimulatedExecutor: TaskExecutor, @unchecked Sendable {
    private var waiting: Deque<UnownedJob> = []
    private var isDraining = false
    /// Called when a job begins to wait and none is running, so that whoever drives the world plans a `drain`.
    package var onEnqueue: (() -> Void)?

    /// An executor without jobs.
    package init() {}

    /// Lets a job wait for its turn.
    package func enqueue(_ job: consuming ExecutorJob) {
        waiting.append(UnownedJob(job))
        if !isDraining { onEnqueue?() }
    }

    /// Runs all jobs that wait, in the order of their coming, and those that come meanwhile.
    package func drain() {
        guard !isDraining else { return }
        isDraining = true
        defer { isDraining = false }
        while let job = waiting.popFirst() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
