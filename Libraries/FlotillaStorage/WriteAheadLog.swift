import DequeModule
import FlotillaWire
import NIOCore

/// The log that all servers of a node write before they act: group commit of whatever has been appended.
///
/// It is driven from one thread and never waits: `append` queues, completions of its file system move it on. One batch
/// is in flight at a time; what is appended meanwhile goes into the next, so that batches grow with the load and no
/// timer decides. A batch becomes durable as a whole, and only then do its notices go out.
///
/// The first failure of a write or a sync is final. A sync that failed once may report success later over data that
/// is lost, so nothing is tried again and nothing is confirmed any more.
public final class WriteAheadLog {
    /// What a log calls, on the thread that drives it.
    public struct Handlers {
        /// Something became durable, or the status changed.
        public var durable: ([DurableNotice], WALStatus) -> Void
        /// The log has failed; called once, and nothing is called after it.
        public var failure: (StorageError) -> Void
        /// A file is wanted: prepare it, after so many nanoseconds, and tell `fileReady` or `preparationFailed`.
        public var prepare: (_ sequence: UInt64, _ delayNanoseconds: UInt64) -> Void
        /// Files are not needed any more: remove them with a `WALFileRemover` and tell `filesRemoved` or
        /// `removalFailed`.
        public var remove: (_ sequences: [UInt64]) -> Void

        /// Handlers of these parts.
        public init(
            durable: @escaping ([DurableNotice], WALStatus) -> Void, failure: @escaping (StorageError) -> Void,
            prepare: @escaping (_ sequence: UInt64, _ delayNanoseconds: UInt64) -> Void,
            remove: @escaping (_ sequences: [UInt64]) -> Void
        ) {
            self.durable = durable
            self.failure = failure
            self.prepare = prepare
            self.remove = remove
        }
    }

    /// The file that batches go to.
    struct Current {
        var file: OpenFile
        var header: WALFileHeader
        var seed: UInt32
        var offset: UInt64
        /// Whether it holds more than a checkpoint.
        var isUsed: Bool
    }

    /// What the one operation in flight is for.
    enum Step {
        case opening(WALFileHeader, offset: UInt64)
        case writing(Flight)
        case syncing(Flight)
    }

    /// A batch on its way to the disk.
    struct Flight {
        var bytes: Int
        var records: UInt32
        var checksum: UInt32
        var nanoseconds: UInt64 = 0
    }

    /// A record that waits, or a part of one that is too long for a batch.
    struct Queued {
        var record: WALRecord
        /// Whether nothing of the record that was handed over comes after it.
        var isLast = true
    }

    let settings: WALSettings
    let mode: WALWriteMode
    let fileSystem: any FileSystem
    let handlers: Handlers

    var position: WALPosition
    var latest: WALLatest
    var current: Current?
    var step: (token: UInt64, step: Step)?
    var closing: Set<UInt64> = []
    var nextToken: UInt64 = 0

    var queue: Deque<Queued> = []
    /// How many of the records that were handed over have left the queue.
    var taken: UInt64 = 0
    var checkpoint: Deque<WALItem> = []
    var checkpointRecords: UInt32 = 0
    var checkpointChecksum: UInt32 = 0
    var builder: WALBatchBuilder
    var collector = NoticeCollector()
    /// Whose entries the current file holds.
    var contents: [ServerUID: LogIndex]
    /// What the batch in flight releases.
    var releasing: UInt64?
    var sealed: Bool

    var preparing = false
    /// Released files that are to be removed, and whether others are being removed.
    var unneeded: [UInt64] = []
    var removing = false
    var stopping = false
    var started = false

    /// How the log is doing.
    public internal(set) var status = WALStatus()
    /// Why the log has failed, once it has.
    public internal(set) var failure: StorageError?
    /// Whether a stop that was asked for is complete, or the log has failed and all its files are closed.
    public internal(set) var isStopped = false

    /// A log that goes on where recovery ended; nothing happens before `start`.
    ///
    /// - Parameters:
    ///   - mode: what `settings.resolveWriteMode` gave.
    ///   - fileSystem: whoever drives the log hands its completions to `complete`, never from inside a call of the
    ///     log itself: let a `CompletionQueue` take them.
    public init(
        settings: WALSettings, mode: WALWriteMode, start: WALStart, fileSystem: any FileSystem, handlers: Handlers
    ) {
        self.settings = settings
        self.mode = mode
        self.fileSystem = fileSystem
        self.handlers = handlers
        position = start.position
        latest = start.latest
        contents = start.position.contents
        sealed = start.position.resumption?.sealed ?? true
        builder = WALBatchBuilder(capacity: settings.batchLimit + WALFormat.blockBytes)
        status.files = position.files
        status.liveBytes = position.bytes
    }

    /// Opens the file to go on in, and asks for files to be prepared.
    public func start() {
        precondition(!started, "a log that is started twice")
        started = true
        remove(position.stale)
        position.stale = []
        requestPreparation()
        if let resumption = position.resumption { open(resumption.header, offset: resumption.offset) }
    }

    /// Queues records and, if nothing is in flight, writes them at once.
    ///
    /// Every record must belong to a server that was created by an earlier record, or to none.
    public func append(_ records: some Sequence<WALRecord>) {
        guard failure == nil, !stopping else { return }
        for record in records { enqueue(record) }
        pump()
    }

    /// Tells that there has been nothing to write for a while: the last batch is sealed, so that rot in it can later
    /// be told from a write that was cut off. Nobody waits for the seal.
    public func idle() {
        guard failure == nil, step == nil, !stopping else { return }
        writeSealIfNeeded()
    }

    /// Whether `idle` would write a seal.
    public var wantsSeal: Bool { failure == nil && step == nil && !sealed && current != nil }

    /// Finishes what is queued, seals, closes, and sets `isStopped`. If that needs a file for which there is no room,
    /// the records that wait for it are dropped; nobody was told that they are durable.
    public func stop() {
        guard !stopping else { return }
        stopping = true
        pump()
    }

    /// Takes the end of an operation that the log submitted.
    public func complete(_ completion: FileCompletion) {
        if closing.remove(completion.token) != nil {
            if case .failure(let error) = completion.result { fail(StorageError(error)) }
            finishIfDone()
            return
        }
        guard let (token, step) = step, token == completion.token else {
            preconditionFailure("a completion for an operation that the log did not submit")
        }
        self.step = nil
        switch completion.result {
        case .failure(let error):
            fail(StorageError(error))
            closeAfterFailure()
        case .success(let value): advance(step, value, nanoseconds: completion.nanoseconds)
        }
    }

    private func enqueue(_ record: WALRecord) {
        guard case .entries(let entries) = record else {
            queue.append(Queued(record: record))
            return
        }
        status.queuedBytes += entries.bytes.readableBytes
        for part in entries.split(limit: settings.batchLimit) {
            queue.append(Queued(record: .entries(part), isLast: part.last == entries.last))
        }
    }

    private func advance(_ step: Step, _ value: FileValue, nanoseconds: UInt64) {
        guard failure == nil else {
            if case .opening = step, case .file(let file) = value { close(file) }
            closeAfterFailure()
            return
        }
        switch step {
        case .opening(let header, let offset):
            guard case .file(let file) = value else { preconditionFailure("an open that gives no file") }
            opened(file, header: header, offset: offset)
            pump()
        case .writing(var flight):
            flight.nanoseconds = nanoseconds
            written(flight)
        case .syncing(var flight):
            flight.nanoseconds += nanoseconds
            durable(flight)
        }
    }

    func submit(_ operation: FileOperation, _ step: Step) {
        precondition(self.step == nil, "two operations at a time")
        nextToken += 1
        self.step = (nextToken, step)
        fileSystem.submit(operation, token: nextToken)
    }

    func close(_ file: OpenFile) {
        nextToken += 1
        closing.insert(nextToken)
        fileSystem.submit(.close(file), token: nextToken)
    }

    /// The end of the log, on the first failure.
    func fail(_ error: StorageError) {
        guard failure == nil else { return }
        failure = error
        queue.removeAll()
        checkpoint.removeAll()
        handlers.failure(error)
        closeAfterFailure()
    }

    /// Closes what is open once nothing is in flight on it any more.
    private func closeAfterFailure() {
        guard step == nil else { return }
        if let current { close(current.file) }
        current = nil
        finishIfDone()
    }

    func finishIfDone() {
        guard step == nil, closing.isEmpty, current == nil else { return }
        if failure != nil || stopping { isStopped = true }
    }
}
