import CFlotilla
import Synchronization

/// A file system for background jobs that read like straight code: each call submits one operation and suspends until
/// its completion.
///
/// A job resumes on its own executor: in production the task prefers a background thread on which a
/// `PosixFileSystem` works, in a simulator a deterministic queue. Nothing here chooses a thread.
public final class AsyncFiles: Sendable {
    private typealias Continuation = CheckedContinuation<Result<FileValue, FileSystemError>, Never>

    private final class Waiting: Sendable {
        private struct State {
            var nextToken: UInt64 = 0
            var continuations: [UInt64: Continuation] = [:]
        }
        private let state = Mutex(State())

        func add(_ continuation: Continuation) -> UInt64 {
            state.withLock { state in
                state.nextToken += 1
                state.continuations[state.nextToken] = continuation
                return state.nextToken
            }
        }

        func complete(_ completion: FileCompletion) {
            let continuation = state.withLock { $0.continuations.removeValue(forKey: completion.token) }
            precondition(continuation != nil, "a completion for an operation that nobody submitted")
            continuation?.resume(returning: completion.result)
        }
    }

    private let waiting = Waiting()
    private let fileSystem: any FileSystem
    private let pause: @Sendable (_ nanoseconds: UInt64) async -> Void

    /// Works on the file system that `make` makes with a completion handler.
    ///
    /// - Parameter pause: suspends for a time; by default it does not.
    public init(
        pause: @escaping @Sendable (_ nanoseconds: UInt64) async -> Void = { _ in },
        _ make: (@escaping FileCompletionHandler) -> any FileSystem
    ) {
        let waiting = self.waiting
        fileSystem = make { waiting.complete($0) }
        self.pause = pause
    }

    /// Works on the operating system's files.
    public convenience init() {
        // It ends early when its task is cancelled, which is all right for a rest.
        self.init(pause: { try? await Task.sleep(nanoseconds: $0) }, { PosixFileSystem(handler: $0) })
    }

    /// Leaves processor and disk to others for as long as was worked since the rest before, in a job that is in no
    /// hurry.
    func rest(from began: inout UInt64) async {
        await pause(min(flotilla_monotonic_nanoseconds() &- began, Self.longestRest))
        began = flotilla_monotonic_nanoseconds()
    }

    /// Longer rests would only make a job on a disk that stalls take twice as long.
    private static let longestRest: UInt64 = 20_000_000

    /// Submits one operation and suspends until it is complete.
    @discardableResult
    public func perform(_ operation: FileOperation) async throws(FileSystemError) -> FileValue {
        let result = await withCheckedContinuation { (continuation: Continuation) in
            fileSystem.submit(operation, token: waiting.add(continuation))
        }
        return try result.get()
    }

    /// Opens a file.
    public func open(_ path: String, _ options: OpenOptions = []) async throws(FileSystemError) -> OpenFile {
        guard case .file(let file) = try await perform(.open(path: path, options)) else {
            preconditionFailure("an open that gives no file")
        }
        return file
    }

    /// Reads up to `count` bytes into the start of `memory`; fewer only at the end of the file.
    public func read(
        _ file: OpenFile, at offset: UInt64, count: Int, into memory: AlignedMemory
    ) async throws(FileSystemError) -> Int {
        guard case .count(let got) = try await perform(.read(file, at: offset, count: count, into: memory)) else {
            preconditionFailure("a read that gives no count")
        }
        return got
    }

    /// How much goes to the disk at once where the writes of the log should not have to wait long behind it.
    static let burstBytes = 128 << 10

    /// Has what was written go to the disk bit by bit, where a sync at the end would bring all of it at once. After an
    /// error nothing in the file is to be trusted.
    func writeOut(_ file: OpenFile, at offset: UInt64, count: Int) async throws(FileSystemError) {
        // What is small is not worth a call of its own: the sync takes it along.
        guard count >= Self.burstBytes / 2 else { return }
        try await perform(.writeOut(file, at: offset, count: count))
    }

    /// The names in a directory, in ascending order.
    public func list(_ path: String) async throws(FileSystemError) -> [String] {
        guard case .names(let names) = try await perform(.list(path: path)) else {
            preconditionFailure("a listing that gives no names")
        }
        return names
    }

    /// The length of a file; `nil` when it is not there.
    public func size(_ path: String) async throws(FileSystemError) -> UInt64? {
        do {
            guard case .size(let size) = try await perform(.size(path: path)) else {
                preconditionFailure("a look-up that gives no size")
            }
            return size
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
    }

    /// Opens a file, lets `body` use it, and closes it whatever happens.
    @discardableResult
    public func with<Value>(
        _ path: String, _ options: OpenOptions = [],
        _ body: (OpenFile) async throws(FileSystemError) -> Value
    ) async throws(FileSystemError) -> Value {
        let file = try await open(path, options)
        let value: Value
        do {
            value = try await body(file)
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await perform(.close(file))
            throw error
        }
        try await perform(.close(file))
        return value
    }
}
