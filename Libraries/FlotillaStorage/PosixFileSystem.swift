import CFlotilla
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The operating system's files. Every operation runs on the thread that submits it and is complete when `submit`
/// returns. All system calls of storage stand in this file.
public final class PosixFileSystem: FileSystem {
    private let handler: FileCompletionHandler
    /// The paths of open files, for errors.
    private let paths = Mutex<[Int32: String]>([:])

    /// A file system that gives its completions to `handler`.
    public init(handler: @escaping FileCompletionHandler) { self.handler = handler }

    /// Runs an operation; its completion has gone to the handler when this returns.
    public func submit(_ operation: FileOperation, token: UInt64) {
        let start = flotilla_monotonic_nanoseconds()
        let result: Result<FileValue, FileSystemError>
        do {
            result = .success(try execute(operation))
        } catch {
            result = .failure(
                FileSystemError(operation: operation.name, path: path(of: operation), errno: error.number))
        }
        let elapsed = flotilla_monotonic_nanoseconds() &- start
        handler(FileCompletion(token: token, result: result, nanoseconds: elapsed))
    }

    private func execute(_ operation: FileOperation) throws(SystemError) -> FileValue {
        switch operation {
        case .open(let path, let options): return .file(try open(path, options))
        case .close(let file): try close(file)
        case .read(let file, let offset, let count, let memory):
            return .count(try read(file, at: offset, count: count, into: memory))
        case .write(let file, let offset, let count, let memory):
            try write(file, at: offset, count: count, from: memory)
        case .zeroFill(let file, let count): try zeroFill(file, count: count)
        case .writeOut(let file, let offset, let count): try writeOut(file, at: offset, count: count)
        case .syncData(let file): try syncData(file)
        case .syncAll(let file): try syncAll(file)
        case .syncDirectory(let path): try syncDirectory(path)
        case .rename(let old, let new): try call { Int(systemRename(old, new)) }
        case .remove(let path): try call { Int(unlink(path)) }
        case .list(let path): return .names(try names(in: path))
        case .makeDirectory(let path): try call { Int(mkdir(path, 0o755)) }
        case .removeDirectory(let path): try call { Int(rmdir(path)) }
        case .size(let path): return .size(try size(of: path))
        case .lock(let file): try call { Int(flock(file.rawValue, LOCK_EX | LOCK_NB)) }
        }
        return .done
    }

    private func path(of operation: FileOperation) -> String {
        switch operation {
        case .open(let path, _), .syncDirectory(let path), .rename(let path, _), .remove(let path), .list(let path),
            .makeDirectory(let path), .removeDirectory(let path), .size(let path):
            path
        case .close(let file), .read(let file, _, _, _), .write(let file, _, _, _), .zeroFill(let file, _),
            .writeOut(let file, _, _), .syncData(let file), .syncAll(let file), .lock(let file):
            paths.withLock { $0[file.rawValue] } ?? "a file that is not open"
        }
    }
}

/// The number of an error that a system call left.
private struct SystemError: Error {
    let number: Int32
}

/// Repeats a call that a signal interrupted; throws its error number.
@discardableResult
private func call(_ body: () -> Int) throws(SystemError) -> Int {
    while true {
        let result = body()
        if result >= 0 { return result }
        let number = errno
        if number != EINTR { throw SystemError(number: number) }
    }
}

/// The system's `rename`; inside the class the name means the operation.
private func systemRename(_ old: String, _ new: String) -> Int32 { rename(old, new) }

extension PosixFileSystem {
    private func open(_ path: String, _ options: OpenOptions) throws(SystemError) -> OpenFile {
        var flags = O_CLOEXEC | (options.contains(.write) ? O_RDWR : O_RDONLY)
        if options.contains(.create) { flags |= O_CREAT }
        if options.contains(.createNew) { flags |= O_CREAT | O_EXCL }
        if options.contains(.direct) {
            // A system without the flag must not pretend: whoever asked falls back to something that works.
            guard flotilla_open_flag_direct() != 0 else { throw SystemError(number: EINVAL) }
            flags |= flotilla_open_flag_direct()
        }
        if options.contains(.dataSync) {
            guard flotilla_open_flag_data_sync() != 0 else { throw SystemError(number: EINVAL) }
            flags |= flotilla_open_flag_data_sync()
        }
        let descriptor = Int32(truncatingIfNeeded: try call { Int(systemOpen(path, flags)) })
        paths.withLock { $0[descriptor] = path }
        return OpenFile(descriptor)
    }

    private func close(_ file: OpenFile) throws(SystemError) {
        paths.withLock { $0[file.rawValue] = nil }
        // Never repeated: after EINTR Linux has closed the descriptor, and another thread may have it by now.
        let result = systemClose(file.rawValue)
        if result < 0, errno != EINTR { throw SystemError(number: errno) }
    }

    private func read(
        _ file: OpenFile, at offset: UInt64, count: Int, into memory: AlignedMemory
    ) throws(SystemError) -> Int {
        precondition(count <= memory.capacity, "a read past its memory")
        var done = 0
        while done < count {
            let position = off_t(offset) + off_t(done)
            let got = try call { pread(file.rawValue, memory.base + done, count - done, position) }
            if got == 0 { break }
            done += got
            // A direct read can go on only at a multiple of the alignment; anything else is the end of the file.
            if done % AlignedMemory.alignment != 0 { break }
        }
        return done
    }

    private func write(
        _ file: OpenFile, at offset: UInt64, count: Int, from memory: AlignedMemory
    ) throws(SystemError) {
        precondition(count <= memory.capacity, "a write past its memory")
        var done = 0
        while done < count {
            let position = off_t(offset) + off_t(done)
            let written = try call { pwrite(file.rawValue, memory.base + done, count - done, position) }
            if written == 0 { throw SystemError(number: EIO) }
            done += written
        }
    }

    private func zeroFill(_ file: OpenFile, count: UInt64) throws(SystemError) {
        #if !canImport(Darwin)
            // Finds out at once when there is no room, and lets the file system choose one long extent.
            let refused = posix_fallocate(file.rawValue, 0, off_t(count))
            if refused != 0, refused != EOPNOTSUPP, refused != EINVAL { throw SystemError(number: refused) }
        #endif
        let zeros = AlignedMemory(capacity: 1 << 20)
        var done: UInt64 = 0
        while done < count {
            let part = Int(min(UInt64(zeros.capacity), count - done))
            try write(file, at: done, count: part, from: zeros)
            done += UInt64(part)
        }
    }

    private func writeOut(_ file: OpenFile, at offset: UInt64, count: Int) throws(SystemError) {
        do {
            try call { Int(flotilla_write_out(file.rawValue, Int64(offset), Int64(count))) }
        } catch {
            // A system without the call writes when it likes; the sync that follows waits for it.
            guard error.number == ENOSYS else { throw error }
        }
    }

    private func syncData(_ file: OpenFile) throws(SystemError) {
        #if canImport(Darwin)
            try call { Int(fcntl(file.rawValue, F_FULLFSYNC)) }
        #else
            try call { Int(fdatasync(file.rawValue)) }
        #endif
    }

    private func syncAll(_ file: OpenFile) throws(SystemError) {
        #if canImport(Darwin)
            try call { Int(fcntl(file.rawValue, F_FULLFSYNC)) }
        #else
            try call { Int(fsync(file.rawValue)) }
        #endif
    }

    private func syncDirectory(_ path: String) throws(SystemError) {
        let descriptor = Int32(
            truncatingIfNeeded: try call { Int(systemOpen(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) })
        defer { _ = systemClose(descriptor) }
        try call { Int(fsync(descriptor)) }
    }

    private func names(in path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw SystemError(number: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw SystemError(number: errno) }
        return names.sorted()
    }

    private func size(of path: String) throws(SystemError) -> UInt64 {
        var information = stat()
        try call { Int(stat(path, &information)) }
        return UInt64(information.st_size)
    }
}

/// The system's `open`; inside the class the name means the operation.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags, 0o644) }

/// The system's `close`; inside the class the name means the operation.
private func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
