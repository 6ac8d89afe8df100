#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A value that several threads share, and on whose change one of them can wait.
///
/// Sendable because the value is reached only inside `withLock` and `wait`, both of which hold the mutex; the mutex
/// and the condition themselves are made for use by several threads and never move.
final class Monitor<State>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State
    private var waiting = false

    init(_ state: sending State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        #if !canImport(Darwin)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        #endif
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Changes the value, and wakes the thread that waits, if one does.
    func withLock<Value>(_ body: (inout State) -> Value) -> Value {
        pthread_mutex_lock(mutex)
        let value = body(&state)
        let wake = waiting
        pthread_mutex_unlock(mutex)
        // A signal nobody waits for costs a system call on some systems, so it is left out.
        if wake { pthread_cond_signal(condition) }
        return value
    }

    /// Waits until `ready` holds, or so many nanoseconds have passed, and then takes what `take` gives. Only one
    /// thread may wait.
    func wait<Value>(
        nanoseconds: UInt64? = nil, until ready: (State) -> Bool, then take: (inout State) -> Value
    ) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let deadline = nanoseconds.map(Self.deadline)
        waiting = true
        while !ready(state) {
            if var deadline {
                if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
            } else {
                pthread_cond_wait(condition, mutex)
            }
        }
        waiting = false
        return take(&state)
    }

    private static func deadline(after nanoseconds: UInt64) -> timespec {
        var now = timespec()
        #if canImport(Darwin)
        clock_gettime(CLOCK_REALTIME, &now)
        #else
        clock_gettime(CLOCK_MONOTONIC, &now)
        #endif
        let total = UInt64(now.tv_nsec) + nanoseconds
        now.tv_sec += Int(total / 1_000_000_000)
        now.tv_nsec = Int(total % 1_000_000_000)
        return now
    }
}
