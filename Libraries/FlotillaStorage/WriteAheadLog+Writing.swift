import FlotillaWire
import NIOCore

/// Batches: assembled, written, made durable.
extension WriteAheadLog {
    /// Starts the next operation if none is in flight and there is something to do.
    func pump() {
        guard started, failure == nil, step == nil else { return }
        guard !queue.isEmpty || !checkpoint.isEmpty else {
            if stopping { stopWhenSealed() }
            return
        }
        guard let current else {
            openNext()
            return
        }
        assemble(current)
        guard failure == nil else { return }
        if !builder.isEmpty {
            write(current)
        } else if !queue.isEmpty {
            // What does not fit behind a checkpoint fits into no file, and would use up one after the other.
            if current.isUsed { openNext() } else { failForSize() }
        } else {
            settleWhatWasDropped()
            if stopping { stopWhenSealed() }
        }
    }

    /// Nothing was left to write of what was taken from the queue: nobody should wait for it.
    private func settleWhatWasDropped() {
        guard taken > status.settled else { return }
        status.settled = taken
        handlers.durable([], status)
    }

    /// Where data batches of a file must end: behind them there is always room for a seal.
    private func roomForBatch(_ current: Current) -> Int {
        let end = current.header.length - UInt64(WALFormat.blockBytes)
        return end > current.offset ? Int(end - current.offset) : 0
    }

    private func assemble(_ current: Current) {
        builder.begin(seed: current.seed, offset: current.offset)
        let room = roomForBatch(current)
        takeCheckpoint(room: room)
        guard checkpoint.isEmpty else { return }
        while let next = queue.first {
            guard isWanted(next.record) else {
                removeFirst(next)
                continue
            }
            guard builder.append(.record(next.record), limit: limit(room)) != nil else { return }
            removeFirst(next)
            self.current?.isUsed = true
            switch next.record {
            case .entries(let entries):
                status.queuedBytes -= entries.bytes.readableBytes
                contents[entries.uid] = max(entries.last, contents[entries.uid] ?? .zero)
            case .filesReleased(let oldest): releasing = max(oldest, releasing ?? 0)
            default: break
            }
            latest.apply(next.record)
            collector.add(next.record)
        }
    }

    private func removeFirst(_ queued: Queued) {
        queue.removeFirst()
        if queued.isLast { taken += 1 }
    }

    /// A batch ends at the set size, unless its first record alone is longer.
    private func limit(_ room: Int) -> Int { builder.isEmpty ? room : min(room, settings.batchLimit) }

    /// Records of a server that is gone are dropped; those of one that was never created are a mistake of the caller that
    /// would make the file unreadable.
    private func isWanted(_ record: WALRecord) -> Bool {
        switch record {
        case .serverCreated(let creation): return !latest.isDeleted(creation.uid)
        case .serverLost(let uid), .serverDeleted(let uid, _, _, _): return !latest.isDeleted(uid)
        default: break
        }
        guard let uid = record.uid, !latest.isLive(uid) else { return true }
        precondition(latest.isDeleted(uid) || latest.isLost(uid), "a record of server \(uid), which was never created")
        if case .entries(let entries) = record { status.queuedBytes -= entries.bytes.readableBytes }
        return false
    }

    private func takeCheckpoint(room: Int) {
        while let item = checkpoint.first {
            var marked = item
            if case .checkpointEnd = item {
                marked = .checkpointEnd(records: checkpointRecords, checksum: checkpointChecksum)
            }
            guard let checksum = builder.append(marked, limit: limit(room)) else {
                if builder.isEmpty { failForSize() }
                return
            }
            checkpoint.removeFirst()
            guard case .record = item else { continue }
            checkpointRecords += 1
            checkpointChecksum = withUnsafeBytes(of: checksum.littleEndian) {
                Checksum.crc32c($0, continuing: checkpointChecksum)
            }
        }
    }

    private func failForSize() {
        fail(
            StorageError(
                .tooLarge,
                "what the write-ahead log must repeat in each file leaves no room in one for the next record; raise "
                    + "wal-max-size-bytes, which is \(settings.fileBytes)"))
    }

    private func write(_ current: Current) {
        let (bytes, checksum) = builder.finish(
            number: position.nextBatch, previousChecksum: position.previousChecksum)
        let flight = Flight(bytes: bytes, records: builder.recordCount, checksum: checksum)
        submit(
            .write(current.file, at: current.offset, count: bytes, from: builder.memory), .writing(flight))
    }

    func written(_ flight: Flight) {
        guard let current else { preconditionFailure("a batch without a file") }
        if let sync = mode.sync(current.file) {
            submit(sync, .syncing(flight))
        } else {
            durable(flight)
        }
    }

    /// A batch is durable: its notices go out before the next one is started, which may take its time.
    func durable(_ flight: Flight) {
        current?.offset += UInt64(flight.bytes)
        position.nextBatch += 1
        position.previousChecksum = flight.checksum
        sealed = flight.records == 0
        status.batches += 1
        status.syncs += 1
        status.records += UInt64(flight.records)
        status.bytesWritten += UInt64(flight.bytes)
        status.lastSyncNanoseconds = flight.nanoseconds
        status.worstSyncNanoseconds = max(status.worstSyncNanoseconds, flight.nanoseconds)
        // Nothing is taken from the queue while a batch is in flight.
        status.settled = taken
        if let releasing { release(before: releasing) }
        let notices = collector.take()
        // A seal is nobody's business; whatever else was written shows that the disk works.
        if flight.records > 0 { handlers.durable(notices, status) }
        pump()
    }

    func writeSealIfNeeded() {
        guard !sealed, let current else { return }
        builder.begin(seed: current.seed, offset: current.offset)
        write(current)
    }

    private func stopWhenSealed() {
        if !sealed, current != nil {
            writeSealIfNeeded()
            return
        }
        if let current { close(current.file) }
        current = nil
        finishIfDone()
    }
}
