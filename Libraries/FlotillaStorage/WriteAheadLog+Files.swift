import DequeModule
import FlotillaWire

/// Files: asked for ahead, opened in turn, each begun with a checkpoint.
extension WriteAheadLog {
    /// How long it takes until a file is tried again for which there was no room.
    package static var retryNanoseconds: UInt64 { 1_000_000_000 }

    /// Takes a file that was asked for through `Handlers.prepare`.
    public func fileReady(_ file: PreparedFile) {
        precondition(file.sequence == position.nextSequence, "a file that was not asked for")
        preparing = false
        position.nextSequence += 1
        position.prepared.append(file)
        status.files += 1
        status.liveBytes += file.length
        setStatus(\.diskFull, false)
        requestPreparation()
        pump()
    }

    /// Takes the news that a file that was asked for could not be prepared. Without room it is tried again every
    /// second; any other reason is a failure of the log.
    public func preparationFailed(_ error: FileSystemError) {
        preparing = false
        guard failure == nil else { return }
        guard error.isOutOfSpace else {
            fail(StorageError(error))
            return
        }
        // Said every time: a disk that says no more that it is full may have stalled.
        status.diskFull = true
        handlers.durable([], status)
        if stopping { pump() } else { requestPreparation(delay: Self.retryNanoseconds) }
    }

    /// Takes the news that files that were released are gone.
    public func filesRemoved(_ count: Int) {
        status.files -= count
        status.liveBytes -= min(status.liveBytes, UInt64(count) * settings.fileBytes)
        guard failure == nil else { return }
        removing = false
        remove([])
        handlers.durable([], status)
        requestPreparation()
        pump()
    }

    /// Takes the news that files that were released could not be removed. What else fails then is better not found out.
    public func removalFailed(_ error: FileSystemError) { fail(StorageError(error)) }

    /// A batch that releases files is durable.
    func release(before oldest: UInt64) {
        releasing = nil
        guard oldest > position.oldestSequence, let current else { return }
        precondition(oldest <= current.header.sequence, "the release of a file that is still written")
        let released = Array(position.oldestSequence..<oldest)
        position.oldestSequence = oldest
        remove(released)
    }

    /// Has files removed, once those are gone that come before them: where a later one went first, a crash would leave a
    /// log with a hole.
    func remove(_ sequences: [UInt64]) {
        unneeded += sequences
        guard !removing, !unneeded.isEmpty else { return }
        removing = true
        let next = unneeded
        unneeded = []
        handlers.remove(next)
    }

    func requestPreparation(delay: UInt64 = 0) {
        guard failure == nil, !preparing, position.prepared.count < settings.preparedFiles else { return }
        guard !stopping || status.waitingForFile else { return }
        let full = status.liveBytes + settings.fileBytes > settings.maxTotalBytes
        setStatus(\.limitReached, full)
        guard !full else { return }
        preparing = true
        handlers.prepare(position.nextSequence, delay)
    }

    /// Goes on in the next prepared file, or waits for one.
    func openNext() {
        guard !position.prepared.isEmpty else {
            waitForFile()
            return
        }
        let next = position.prepared.removeFirst()
        setStatus(\.waitingForFile, false)
        open(next.header, offset: UInt64(WALFormat.blockBytes))
        requestPreparation()
    }

    private func waitForFile() {
        setStatus(\.waitingForFile, true)
        // A log that stops waits for a file that is on its way, but not for a disk to become less full.
        if !(stopping && status.diskFull) { requestPreparation() }
        guard stopping, status.diskFull || !preparing else { return }
        queue.removeAll()
        status.queuedBytes = 0
        pump()
    }

    func open(_ header: WALFileHeader, offset: UInt64) {
        let path = "\(settings.directory)/\(WALFormat.fileName(header.sequence))"
        submit(.open(path: path, mode.openOptions), .opening(header, offset: offset))
    }

    func opened(_ file: OpenFile, header: WALFileHeader, offset: UInt64) {
        if let current {
            close(current.file)
            let closed = WALFileContents(sequence: current.header.sequence, last: contents)
            contents.removeAll(keepingCapacity: true)
            handlers.durable([.fileClosed(closed)], status)
        }
        let isFresh = offset == UInt64(WALFormat.blockBytes)
        current = Current(file: file, header: header, seed: header.seed, offset: offset, isUsed: !isFresh)
        guard isFresh else { return }
        if position.oldestSequence == 0 { position.oldestSequence = header.sequence }
        checkpoint = [.checkpointBegin(oldest: position.oldestSequence)]
        checkpoint.append(contentsOf: latest.records().map { .record($0) })
        checkpoint.append(.checkpointEnd(records: 0, checksum: 0))
        checkpointRecords = 0
        checkpointChecksum = 0
    }

    private func setStatus(_ field: WritableKeyPath<WALStatus, Bool>, _ value: Bool) {
        guard status[keyPath: field] != value else { return }
        status[keyPath: field] = value
        handlers.durable([], status)
    }
}
