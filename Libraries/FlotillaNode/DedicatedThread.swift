import CFlotilla

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A thread of its own for work that blocks in system calls, which the shared pool must never do.
final class DedicatedThread: Sendable {
    /// What the new thread is handed: its name and its work.
    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let thread: pthread_t

    /// Starts a thread; at most 15 bytes of its name are kept. `join` must be called once.
    init(name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        #if canImport(Darwin)
        var thread: pthread_t?
        #else
        var thread = pthread_t()
        #endif
        let result = pthread_create(
            &thread, nil,
            { argument in
                #if canImport(Darwin)
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                #else
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                #endif
                flotilla_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "the system gives no thread: error \(result)")
        #if canImport(Darwin)
        guard let thread else { preconditionFailure("a thread without a number") }
        #endif
        self.thread = thread
    }

    /// Waits until the thread has ended. Must not be called on the thread itself.
    func join() { pthread_join(thread, nil) }
}
