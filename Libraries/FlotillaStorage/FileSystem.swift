import Synchronization

/// Everything that storage asks of a file system, as operations that are submitted and completed.
///
/// Storage never waits in its own code: it submits an operation with a token and goes on; the completion names the
/// token. `PosixFileSystem` completes before `submit` returns; a simulated one completes whenever it likes, and may
/// let a crash fall between any two operations.
public protocol FileSystem: AnyObject, Sendable {
    /// Starts an operation. Its completion goes to the handler that the file system was made with, exactly once,
    /// possibly before this call returns.
    func submit(_ operation: FileOperation, token: UInt64)
}

/// Takes completions, on whatever thread the file system completes them.
public typealias FileCompletionHandler = @Sendable (FileCompletion) -> Void

/// A file that is open, as its file system knows it.
public struct OpenFile: Hashable, Sendable {
    /// The file system's number for it.
    public let rawValue: Int32
    /// The file with this number.
    public init(_ rawValue: Int32) { self.rawValue = rawValue }
}

/// What an operation that succeeded gives.
public enum FileValue: Equatable, Sendable {
    /// Nothing but its success.
    case done
    /// The file that was opened.
    case file(OpenFile)
    /// How many bytes were read; fewer than asked for only at the end of the file.
    case count(Int)
    /// The length of a file in bytes.
    case size(UInt64)
    /// The names in a directory in ascending order, without `.` and `..`.
    case names([String])
}

/// The end of one operation.
public struct FileCompletion: Sendable {
    /// The token that it was submitted with.
    public let token: UInt64
    /// What it gave, or why it failed.
    public let result: Result<FileValue, FileSystemError>
    /// How long it took, by the file system's clock, in nanoseconds.
    public let nanoseconds: UInt64

    /// A completion of these parts.
    public init(token: UInt64, result: Result<FileValue, FileSystemError>, nanoseconds: UInt64 = 0) {
        self.token = token
        self.result = result
        self.nanoseconds = nanoseconds
    }
}

/// Keeps completions until their owner takes them, so that a file system that completes inside `submit` does not call
/// back into code that is still submitting.
public final class CompletionQueue: Sendable {
    private let waiting = Mutex<[FileCompletion]>([])

    /// An empty queue.
    public init() {}

    /// Adds a completion; may be called on any thread.
    public func add(_ completion: FileCompletion) { waiting.withLock { $0.append(completion) } }

    /// Takes all completions that have arrived, oldest first.
    public func take() -> [FileCompletion] {
        waiting.withLock { waiting in
            guard !waiting.isEmpty else { return [] }
            defer { waiting.removeAll(keepingCapacity: true) }
            return waiting
        }
    }
}
