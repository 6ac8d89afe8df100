import FlotillaStorage
import Glibc
import Synchronization

/// Files in memory, with what a power failure would leave of them: contents up to the last sync, names up to the last
/// sync of the directory. It records the order of operations, and can be told to fail.
final class MemoryFileSystem: FileSystem {
    private struct File {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []

        mutating func sync() { durable = bytes }
        mutating func losePower() { bytes = durable }
    }

    private struct State {
        var files: [Int: File] = [:]
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var directories: Set<String> = ["/"]
        var open: [Int32: (file: Int, path: String, options: OpenOptions)] = [:]
        var locked: Set<Int> = []
        var next = 1
        var journal: [String] = []
        var failures: [(operation: String, path: String, errno: Int32, once: Bool, spared: Int)] = []
        var remaining: Int?
        var directUnsupported = false
    }

    private let handler: FileCompletionHandler
    private let state: Mutex<State>

    init(handler: @escaping FileCompletionHandler = { _ in }) {
        self.handler = handler
        state = Mutex(State())
    }

    /// Another view of the same contents as they are now, for a reader or for a next life.
    init(copying other: MemoryFileSystem, handler: @escaping FileCompletionHandler) {
        self.handler = handler
        var copy = other.state.withLock { $0 }
        copy.open = [:]
        copy.locked = []
        copy.failures = []
        copy.remaining = nil
        copy.journal = []
        state = Mutex(copy)
    }

    /// What was done, such as `write /wal/x 4096 8192`.
    var journal: [String] { state.withLock { $0.journal } }

    /// Makes operations of a name on paths with a suffix fail, once or always, after so many that work.
    func fail(_ operation: String, on suffix: String, errno: Int32, once: Bool = false, after spared: Int = 0) {
        state.withLock { $0.failures.append((operation, suffix, errno, once, spared)) }
    }

    /// Lets everything work again.
    func heal() { state.withLock { $0.failures = [] } }

    /// Lets so many more operations work; all later ones fail.
    func die(after operations: Int) { state.withLock { $0.remaining = operations } }

    /// Refuses direct writes, as some file systems do.
    func refuseDirect() { state.withLock { $0.directUnsupported = true } }

    /// Loses what was not synced; names may have become durable by themselves.
    func losePower(keepingNames: Bool = false) {
        state.withLock { state in
            if !keepingNames { state.names = state.durableNames }
            for key in state.files.keys { state.files[key]?.losePower() }
        }
    }

    func names(in directory: String) -> [String] { state.withLock { Self.names(in: directory, $0) } }

    /// The paths of all files.
    var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    /// Removes a directory behind everybody's back; what is in it stays where it is.
    func forget(directory: String) { state.withLock { _ = $0.directories.remove(directory) } }

    func contents(_ path: String) -> [UInt8] {
        state.withLock { state in state.names[path].flatMap { state.files[$0]?.bytes } ?? [] }
    }

    /// Changes a file behind everybody's back, durably.
    func change(_ path: String, _ body: (inout [UInt8]) -> Void) {
        state.withLock { state in
            guard let key = state.names[path], var file = state.files[key] else { return }
            body(&file.bytes)
            file.durable = file.bytes
            state.files[key] = file
        }
    }

    /// Adds a file behind everybody's back, durably.
    func add(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            state.files[state.next] = File(bytes: bytes, durable: bytes)
            state.names[path] = state.next
            state.durableNames = state.names
            state.next += 1
        }
    }

    /// Locks a file as another process would.
    func lock(_ path: String) {
        state.withLock { state in if let key = state.names[path] { state.locked.insert(key) } }
    }

    /// Removes or renames a file behind everybody's back.
    func move(_ path: String, to other: String?) {
        state.withLock { state in
            let key = state.names.removeValue(forKey: path)
            if let other { state.names[other] = key }
            state.durableNames = state.names
        }
    }

    func submit(_ operation: FileOperation, token: UInt64) {
        let result = state.withLock { state -> Result<FileValue, FileSystemError> in
            let path = Self.path(operation, state)
            if let errno = Self.injected(operation, path, &state) {
                // A read that fails may have come half the way.
                if case .read(_, _, let count, let memory) = operation {
                    memory.base.initializeMemory(as: UInt8.self, repeating: 0xee, count: count)
                }
                return .failure(FileSystemError(operation: operation.name, path: path, errno: errno))
            }
            switch Self.execute(operation, &state) {
            case .success(let value): return .success(value)
            case .failure(let error):
                return .failure(FileSystemError(operation: operation.name, path: path, errno: error.number))
            }
        }
        handler(FileCompletion(token: token, result: result, nanoseconds: 1_000))
    }

    private struct Failed: Error {
        let number: Int32
    }

    private static func injected(_ operation: FileOperation, _ path: String, _ state: inout State) -> Int32? {
        if let remaining = state.remaining {
            if remaining == 0 { return EIO }
            state.remaining = remaining - 1
        }
        let place = state.failures.firstIndex { $0.operation == operation.name && path.hasSuffix($0.path) }
        guard let place else { return nil }
        let failure = state.failures[place]
        if failure.spared > 0 {
            state.failures[place].spared -= 1
            return nil
        }
        if failure.once { state.failures.remove(at: place) }
        return failure.errno
    }

    private static func path(_ operation: FileOperation, _ state: State) -> String {
        switch operation {
        case .open(let path, _), .syncDirectory(let path), .rename(let path, _), .remove(let path), .list(let path),
            .makeDirectory(let path), .removeDirectory(let path), .size(let path):
            path
        case .close(let file), .read(let file, _, _, _), .write(let file, _, _, _), .zeroFill(let file, _),
            .writeOut(let file, _, _), .syncData(let file), .syncAll(let file), .lock(let file):
            state.open[file.rawValue]?.path ?? "?"
        }
    }

    private static func names(in directory: String, _ state: State) -> [String] {
        let prefix = directory + "/"
        return state.names.keys.filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
            .map { String($0.dropFirst(prefix.count)) }.sorted()
    }

    private static func directories(in directory: String, _ state: State) -> [String] {
        let prefix = directory + "/"
        return state.directories.filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
            .map { String($0.dropFirst(prefix.count)) }.filter { !$0.isEmpty }
    }

    private static func execute(_ operation: FileOperation, _ state: inout State) -> Result<FileValue, Failed> {
        let path = path(operation, state)
        switch operation {
        case .open(_, let options): return open(path, options, &state)
        case .close(let file):
            if let key = state.open.removeValue(forKey: file.rawValue)?.file { state.locked.remove(key) }
        case .read(let file, let offset, let count, let memory):
            guard let key = state.open[file.rawValue]?.file, let bytes = state.files[key]?.bytes else {
                return .failure(Failed(number: EBADF))
            }
            let part = bytes.dropFirst(Int(offset)).prefix(count)
            memory.base.copyMemory(from: Array(part), byteCount: part.count)
            return .success(.count(part.count))
        case .write(let file, let offset, let count, let memory):
            state.journal.append("write \(path) \(offset) \(count)")
            write(file, at: Int(offset), Array(memory.bytes[..<count]), &state)
            return .success(.done)
        case .zeroFill(let file, let count):
            state.journal.append("zero-fill \(path)")
            write(file, at: 0, [UInt8](repeating: 0, count: Int(count)), &state)
        case .writeOut(_, let offset, let count):
            state.journal.append("out \(path) \(offset) \(count)")
        case .syncData(let file), .syncAll(let file):
            state.journal.append("sync \(path)")
            if let key = state.open[file.rawValue]?.file { state.files[key]?.sync() }
        case .syncDirectory:
            state.journal.append("sync \(path)")
            syncDirectory(path, &state)
        case .rename(_, let to):
            state.journal.append("rename \(path) \(to)")
            guard let key = state.names.removeValue(forKey: path) else { return .failure(Failed(number: ENOENT)) }
            state.names[to] = key
        case .remove:
            guard state.names.removeValue(forKey: path) != nil else { return .failure(Failed(number: ENOENT)) }
            state.journal.append("remove \(path)")
        case .list:
            guard state.directories.contains(path) else { return .failure(Failed(number: ENOENT)) }
            return .success(.names((names(in: path, state) + directories(in: path, state)).sorted()))
        case .removeDirectory:
            guard names(in: path, state).isEmpty else { return .failure(Failed(number: ENOTEMPTY)) }
            guard state.directories.remove(path) != nil else { return .failure(Failed(number: ENOENT)) }
        case .makeDirectory:
            guard state.directories.insert(path).inserted else { return .failure(Failed(number: EEXIST)) }
        case .size:
            guard let key = state.names[path], let file = state.files[key] else {
                return .failure(Failed(number: ENOENT))
            }
            return .success(.size(UInt64(file.bytes.count)))
        case .lock(let file):
            guard let key = state.open[file.rawValue]?.file, state.locked.insert(key).inserted else {
                return .failure(Failed(number: EWOULDBLOCK))
            }
        }
        return .success(.done)
    }

    private static func open(_ path: String, _ options: OpenOptions, _ state: inout State) -> Result<FileValue, Failed>
    {
        if options.contains(.direct), state.directUnsupported { return .failure(Failed(number: EINVAL)) }
        if options.contains(.createNew), state.names[path] != nil { return .failure(Failed(number: EEXIST)) }
        if state.names[path] == nil {
            guard options.contains(.create) || options.contains(.createNew) else {
                return .failure(Failed(number: ENOENT))
            }
            state.files[state.next] = File()
            state.names[path] = state.next
            state.next += 1
        }
        let number = Int32(state.next)
        state.next += 1
        state.open[number] = (state.names[path] ?? 0, path, options)
        return .success(.file(OpenFile(number)))
    }

    private static func write(_ file: OpenFile, at offset: Int, _ bytes: [UInt8], _ state: inout State) {
        guard let opened = state.open[file.rawValue], var target = state.files[opened.file] else { return }
        let missing = offset + bytes.count - target.bytes.count
        if missing > 0 { target.bytes += [UInt8](repeating: 0, count: missing) }
        target.bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        if opened.options.contains(.dataSync) { target.durable = target.bytes }
        state.files[opened.file] = target
    }

    private static func syncDirectory(_ path: String, _ state: inout State) {
        let isInside = { (name: String) in name.hasPrefix(path + "/") && !name.dropFirst(path.count + 1).contains("/") }
        state.durableNames = state.durableNames.filter { !isInside($0.key) }
        for (name, file) in state.names where isInside(name) { state.durableNames[name] = file }
    }
}
