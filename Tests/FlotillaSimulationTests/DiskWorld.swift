import FlotillaSimulation
import FlotillaStorage
import Testing

/// A machine with a disk and nothing else.
///
/// Unchecked, because a world runs on one thread: that of its test.
final class DiskWorld: @unchecked Sendable {
    let scheduler = Scheduler()
    let executor = SimulatedExecutor()
    let disk: SimulatedDisk

    init(seed: UInt64 = 1, settings: DiskSettings = DiskSettings()) {
        disk = SimulatedDisk(
            scheduler: scheduler, random: Randomness.of("disk", seed: seed), settings: settings)
        executor.onEnqueue = { [weak self] in self?.planDrain() }
    }

    /// Lets everything happen that is planned.
    func settle() { while scheduler.step() {} }

    private func planDrain() {
        let executor = self.executor
        scheduler.after(0) { executor.drain() }
    }
}

/// A process on a disk that does one thing after the other, or several at once.
final class DiskProcess {
    let mount: DiskMount
    private let scheduler: Scheduler
    private let queue = CompletionQueue()
    private var arrived: [UInt64: FileCompletion] = [:]
    private var lastToken: UInt64 = 0

    init(_ world: DiskWorld) {
        scheduler = world.scheduler
        let queue = self.queue
        mount = world.disk.mount { queue.add($0) }
    }

    func submit(_ operation: FileOperation) -> UInt64 {
        lastToken += 1
        mount.submit(operation, token: lastToken)
        return lastToken
    }

    /// The completion of an operation if there is one by now.
    func completion(_ token: UInt64) -> FileCompletion? {
        for completion in queue.take() { arrived[completion.token] = completion }
        return arrived[token]
    }

    /// Lets the world go on until an operation is complete.
    func wait(for token: UInt64) throws -> FileValue {
        while true {
            if let completion = completion(token) { return try completion.result.get() }
            try #require(scheduler.step(), "an operation that never completes")
        }
    }

    @discardableResult
    func perform(_ operation: FileOperation) throws -> FileValue { try wait(for: submit(operation)) }

    func open(_ path: String, _ options: OpenOptions = []) throws -> OpenFile {
        guard case .file(let file) = try perform(.open(path: path, options)) else { throw Unexpected() }
        return file
    }

    func write(_ file: OpenFile, at offset: UInt64 = 0, _ bytes: [UInt8]) throws {
        try perform(.write(file, at: offset, count: bytes.count, from: Self.memory(bytes)))
    }

    func read(_ file: OpenFile, at offset: UInt64 = 0, count: Int) throws -> [UInt8] {
        let memory = AlignedMemory(capacity: count)
        guard case .count(let got) = try perform(.read(file, at: offset, count: count, into: memory)) else {
            throw Unexpected()
        }
        return Array(memory.bytes[..<got])
    }

    /// The number of the error that an operation fails with; `nil` when it succeeds.
    func failure(_ operation: FileOperation) throws -> Int32? {
        do {
            try perform(operation)
            return nil
        } catch let error as FileSystemError {
            return error.errno
        }
    }

    /// Makes a file with durable contents under a durable name.
    func makeDurable(_ path: String, _ bytes: [UInt8], _ options: OpenOptions = []) throws -> OpenFile {
        let file = try open(path, [.write, .createNew, options])
        try write(file, bytes)
        try perform(.syncAll(file))
        try perform(.syncDirectory(path: "/"))
        return file
    }

    static func memory(_ bytes: [UInt8]) -> AlignedMemory {
        let memory = AlignedMemory(capacity: bytes.count)
        memory.base.copyMemory(from: bytes, byteCount: bytes.count)
        return memory
    }

    struct Unexpected: Error {}
}

/// So many bytes of one value.
func bytes(_ value: UInt8, _ count: Int) -> [UInt8] { [UInt8](repeating: value, count: count) }
