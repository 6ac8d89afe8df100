import CFlotilla
import FlotillaStorage
import FlotillaWire

/// What runs on the log's thread. It lives and dies there, so nothing in it is shared.
final class WALLoop {
    private let inbox: Monitor<WALThread.Inbox>
    private let idleNanoseconds: UInt64
    private let completions = CompletionQueue()
    private let log: WriteAheadLog
    private let preparation: Preparation
    private var isStopping = false

    init(
        _ configuration: WALThread.Configuration, inbox: Monitor<WALThread.Inbox>, background: BackgroundThread,
        durable: @escaping @Sendable ([DurableNotice], WALStatus) -> Void,
        failure: @escaping @Sendable (StorageError) -> Void
    ) {
        self.inbox = inbox
        idleNanoseconds = configuration.idleNanoseconds
        let preparation = Preparation(configuration, inbox: inbox, background: background)
        self.preparation = preparation
        let completions = self.completions
        log = WriteAheadLog(
            settings: configuration.settings, mode: configuration.mode, start: configuration.start,
            fileSystem: PosixFileSystem { completions.add($0) },
            handlers: WriteAheadLog.Handlers(
                durable: durable, failure: failure,
                prepare: { preparation.request($0, delayNanoseconds: $1) },
                remove: { preparation.remove($0) }))
    }

    func run() {
        log.start()
        drive()
        var records: [WALRecord] = []
        while !log.isStopped {
            let (preparations, removals, stopping) = wait(&records)
            for result in preparations { take(result) }
            for result in removals { take(result) }
            if !records.isEmpty {
                log.append(records)
                records.removeAll(keepingCapacity: true)
            } else if preparations.isEmpty, removals.isEmpty, !stopping {
                log.idle()
            }
            drive()
            if stopping, !isStopping {
                isStopping = true
                log.stop()
                drive()
            }
            preparation.startIfDue()
        }
        inbox.withLock { inbox in
            inbox.ended = true
            inbox.records.removeAll()
        }
    }

    /// Waits for something to do and takes all of it, leaving the emptied array in its place.
    private func wait(
        _ records: inout [WALRecord]
    ) -> (
        preparations: [Result<PreparedFile, FileSystemError>], removals: [Result<Int, FileSystemError>], stopping: Bool
    ) {
        let known = isStopping
        return inbox.wait(nanoseconds: patience, until: { $0.hasNews(stopKnown: known) }) { inbox in
            swap(&inbox.records, &records)
            defer {
                inbox.preparations.removeAll()
                inbox.removals.removeAll()
            }
            return (inbox.preparations, inbox.removals, inbox.stopping)
        }
    }

    /// How long to wait for work: until the last batch should be sealed or a file is to be tried again.
    private var patience: UInt64? {
        let seal = log.wantsSeal ? idleNanoseconds : nil
        guard let due = preparation.nanosecondsUntilDue else { return seal }
        return min(due, seal ?? due)
    }

    private func take(_ result: Result<PreparedFile, FileSystemError>) {
        switch result {
        case .success(let file): log.fileReady(file)
        case .failure(let error): log.preparationFailed(error)
        }
    }

    private func take(_ result: Result<Int, FileSystemError>) {
        switch result {
        case .success(let count): log.filesRemoved(count)
        case .failure(let error): log.removalFailed(error)
        }
    }

    /// Hands completions to the log until none is left; each may have started the next operation.
    private func drive() {
        while true {
            let arrived = completions.take()
            if arrived.isEmpty { return }
            for completion in arrived { log.complete(completion) }
        }
    }
}

/// Has files prepared on the background thread, at once or after a while.
private final class Preparation {
    private let preparer: WALFilePreparer
    private let remover: WALFileRemover
    private let files = AsyncFiles()
    private let inbox: Monitor<WALThread.Inbox>
    private let background: BackgroundThread
    private var delayed: (sequence: UInt64, due: UInt64)?

    init(_ configuration: WALThread.Configuration, inbox: Monitor<WALThread.Inbox>, background: BackgroundThread) {
        preparer = WALFilePreparer(
            settings: configuration.settings, mode: configuration.mode, nodeID: configuration.nodeID)
        remover = WALFileRemover(directory: configuration.settings.directory)
        self.inbox = inbox
        self.background = background
    }

    /// How long it takes until a delayed request is due; `nil` when there is none.
    var nanosecondsUntilDue: UInt64? {
        guard let delayed else { return nil }
        let now = flotilla_monotonic_nanoseconds()
        return delayed.due > now ? delayed.due - now : 0
    }

    func request(_ sequence: UInt64, delayNanoseconds: UInt64) {
        if delayNanoseconds == 0 {
            start(sequence)
        } else {
            delayed = (sequence, flotilla_monotonic_nanoseconds() + delayNanoseconds)
        }
    }

    func startIfDue() {
        guard let delayed, nanosecondsUntilDue == 0 else { return }
        self.delayed = nil
        start(delayed.sequence)
    }

    /// Removes files on the background thread.
    func remove(_ sequences: [UInt64]) {
        Task(executorPreference: background.executor) { [remover, files, inbox] in
            let result: Result<Int, FileSystemError>
            do throws(FileSystemError) {
                try await remover.remove(sequences, files: files)
                result = .success(sequences.count)
            } catch {
                result = .failure(error)
            }
            inbox.withLock { $0.removals.append(result) }
        }
    }

    private func start(_ sequence: UInt64) {
        let salt = UInt64.random(in: .min ... .max)
        Task(executorPreference: background.executor) { [preparer, files, inbox] in
            let result: Result<PreparedFile, FileSystemError>
            do throws(FileSystemError) {
                result = .success(try await preparer.prepare(sequence: sequence, salt: salt, files: files))
            } catch {
                result = .failure(error)
            }
            inbox.withLock { $0.preparations.append(result) }
        }
    }
}
