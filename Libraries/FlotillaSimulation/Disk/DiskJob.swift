import FlotillaStorage

/// A file that a process has open.
struct DiskHandle {
    let file: DiskFile
    let path: String
    let options: OpenOptions
    /// The number of the mount that it was opened through.
    let mount: Int
}

/// An operation in flight.
struct DiskJob {
    let operation: FileOperation
    let token: UInt64
    /// The number of the mount that it was submitted through.
    let mount: Int
    let handler: FileCompletionHandler
    /// When it was submitted.
    let submitted: UInt64
    /// The open file that it is about, if it is one of its process.
    let handle: DiskHandle?
    /// The sectors that were dirty when a sync was submitted.
    var dirty = SectorSet()
    /// The last change of names when the sync of a directory was submitted.
    var lastChange = 0

    /// Whether it is a write that returns only when it is durable.
    var isDurableWrite: Bool {
        if case .write = operation { handle?.options.contains(.dataSync) ?? false } else { false }
    }

    /// Whether it makes something durable.
    var isSync: Bool {
        switch operation {
        case .syncData, .syncAll, .syncDirectory: true
        default: isDurableWrite
        }
    }

    /// The path that errors name.
    var path: String {
        switch operation {
        case .open(let path, _), .syncDirectory(let path), .rename(let path, _), .remove(let path), .list(let path),
            .makeDirectory(let path), .removeDirectory(let path), .size(let path):
            path
        case .close, .read, .write, .zeroFill, .writeOut, .syncData, .syncAll, .lock:
            handle?.path ?? "a file that is not open"
        }
    }

    /// Its completion.
    func completion(_ result: Result<FileValue, DiskError>, at time: UInt64) -> FileCompletion {
        FileCompletion(
            token: token,
            result: result.mapError {
                FileSystemError(operation: operation.name, path: path, errno: $0.errno)
            }, nanoseconds: time - submitted)
    }
}

/// The number of an error as the system gives it.
struct DiskError: Error {
    let errno: Int32

    init(_ errno: Int32) { self.errno = errno }
}
