import CFlotilla
import FlotillaStorage
import FlotillaWire

/// The thread that owns a node's write-ahead log.
///
/// The event loop hands over an array of records and goes on; while one batch is being made durable, the next one
/// gathers here. Files are prepared on a background thread. Everything inside the log happens on this one thread;
/// what others share with it is an inbox behind a lock.
public final class WALThread: Sendable {
    /// What a log thread is made of.
    public struct Configuration: Sendable {
        /// The log's settings.
        public var settings: WALSettings
        /// How it makes writes durable, as `settings.resolveWriteMode` settled it.
        public var mode: WALWriteMode
        /// The node that the log belongs to.
        public var nodeID: NodeID
        /// Where recovery ended.
        public var start: WALStart
        /// How long there must be nothing to write before the last batch is sealed, in nanoseconds.
        public var idleNanoseconds: UInt64 = 50_000_000

        /// A configuration of these parts.
        public init(settings: WALSettings, mode: WALWriteMode, nodeID: NodeID, start: WALStart) {
            self.settings = settings
            self.mode = mode
            self.nodeID = nodeID
            self.start = start
        }
    }

    /// What other threads have left for the log.
    struct Inbox: Sendable {
        var records: [WALRecord] = []
        var preparations: [Result<PreparedFile, FileSystemError>] = []
        var removals: [Result<Int, FileSystemError>] = []
        var stopping = false
        var ended = false

        /// Whether there is something that the log does not know yet.
        func hasNews(stopKnown: Bool) -> Bool {
            !records.isEmpty || !preparations.isEmpty || !removals.isEmpty || (stopping && !stopKnown)
        }
    }

    private let inbox: Monitor<Inbox>
    private let thread: DedicatedThread

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - background: prepares the files; must be stopped after this thread.
    ///   - durable: called on the log's thread for every batch that has become durable and every change of status.
    ///   - failure: called once, on the log's thread, when the log has failed. Nothing is durable after that; the
    ///     node must stop.
    public init(
        _ configuration: Configuration, background: BackgroundThread,
        durable: @escaping @Sendable ([DurableNotice], WALStatus) -> Void,
        failure: @escaping @Sendable (StorageError) -> Void
    ) {
        let inbox = Monitor(Inbox())
        self.inbox = inbox
        thread = DedicatedThread(name: "flotilla-wal") {
            let loop = WALLoop(
                configuration, inbox: inbox, background: background, durable: durable, failure: failure)
            loop.run()
        }
    }

    /// Hands over records and leaves the array empty, with room for the next ones. Records of one caller keep their
    /// order; after the end of the log they are dropped.
    public func submit(_ records: inout [WALRecord]) {
        guard !records.isEmpty else { return }
        inbox.withLock { inbox in
            guard !inbox.ended else { return }
            if inbox.records.isEmpty { swap(&inbox.records, &records) } else { inbox.records += records }
        }
        records.removeAll(keepingCapacity: true)
    }

    /// Makes what was submitted durable, seals and closes the log, and ends the thread. Blocks; must be called once
    /// and neither on the log's thread nor from its closures.
    public func stop() {
        inbox.withLock { $0.stopping = true }
        thread.join()
    }
}
