import FlotillaWire
import NIOCore
import Synchronization

/// What has come of a snapshot from another node.
struct IncomingSnapshot: Sendable {
    let name: SnapshotName
    var receiver: SnapshotReceiver
    var metadata: SnapshotMetadata?
    /// Writes the live entries, once it is known which they are.
    var entries: SegmentSequence?
    var live = LiveIndexes()
    /// How many of them have come.
    var received = 0
}

/// Snapshots on their way from one node to another, part by part.
extension StorageWorker {
    // MARK: Sending

    func readPart(
        of file: SnapshotFile, _ segments: SegmentSet, at position: SnapshotPosition
    ) async throws(StorageError) -> SnapshotPart.Content {
        switch position {
        case .file(let offset):
            return try await SnapshotReader.with(file, files: files) { (reader) async throws(StorageError) in
                .file(bytes: try await reader.read(at: offset, count: partBytes), length: reader.byteCount)
            }
        case .entries(let index): return try await readEntries(of: file, segments, after: index)
        }
    }

    private func readEntries(
        of file: SnapshotFile, _ segments: SegmentSet, after index: LogIndex
    ) async throws(StorageError) -> SnapshotPart.Content {
        let live = try await liveIndexes(of: file)
        var bytes = ByteBuffer()
        let rest = live.within(index.next, through: file.index)
        for next in rest {
            guard let segment = segments.lookUp(next) else { return .gone }
            switch await reader.entry(at: next, in: segment) {
            case .entry(let entry):
                guard bytes.readableBytes == 0 || bytes.readableBytes + entry.readableBytes <= partBytes else {
                    return .entries(bytes, more: true)
                }
                bytes.writeImmutableBuffer(entry)
            case .missing, .unreadable(.removed): return .gone
            case .unreadable(let error): throw StorageError(error)
            }
        }
        return .entries(bytes, more: false)
    }

    private func liveIndexes(of file: SnapshotFile) async throws(StorageError) -> LiveIndexes {
        if let known = outgoing.withLock({ $0.first { $0.file == file }?.live }) { return known }
        let live = try await SnapshotReader.with(file, files: files) { (reader) async throws(StorageError) in
            try await reader.liveIndexes()
        }
        outgoing.withLock { known in
            if known.count >= 4 { known.removeFirst() }
            known.append((file, live))
        }
        return live
    }

    // MARK: Receiving

    func writePart(_ order: PartOrder, of uid: ServerUID) async throws(StorageError) -> SnapshotPosition? {
        var current = incoming.withLock { $0.removeValue(forKey: uid) }
        do throws(StorageError) {
            let next: SnapshotPosition?
            switch (order.position, order.content) {
            case (.file(let offset), .file(let bytes, let length)):
                next = try await takeFile(bytes, at: offset, length: length, order, of: uid, &current)
            case (.entries(let index), .entries(let bytes, let more)):
                next = try await takeEntries(bytes, after: index, more: more, order, &current)
            default: throw StorageError(.corrupt, "a part of a snapshot that is none of what was asked for")
            }
            if let current { incoming.withLock { $0[uid] = current } }
            return next
        } catch {
            await discard(&current)
            throw error
        }
    }

    private func takeFile(
        _ bytes: ByteBuffer, at offset: UInt64, length: UInt64, _ order: PartOrder, of uid: ServerUID,
        _ current: inout IncomingSnapshot?
    ) async throws(StorageError) -> SnapshotPosition? {
        if offset == 0 || current?.name != order.snapshot {
            await discard(&current)
            let directory = SnapshotDirectory(
                path: try await directory(of: uid).directory, server: uid, cluster: order.cluster)
            let receiver = try await SnapshotReceiver.begin(
                directory: directory, index: order.snapshot.index, term: order.snapshot.term, length: length,
                files: files)
            current = IncomingSnapshot(name: order.snapshot, receiver: receiver)
        }
        guard var now = current else { return .file(offset: 0) }
        defer { current = now }
        let received = try await now.receiver.append(at: offset, bytes)
        guard received == now.receiver.length else { return .file(offset: received) }
        now.metadata = try await now.receiver.finish()
        now.live = try await now.receiver.liveIndexes()
        guard !now.live.isEmpty else { return nil }
        now.entries = SegmentWriter(try await self.directory(of: uid), limits: limits).begin(
            installing: now.name.index, term: now.name.term, from: order.number, salt: order.salt)
        return .entries(after: .zero)
    }

    private func takeEntries(
        _ bytes: ByteBuffer, after index: LogIndex, more: Bool, _ order: PartOrder,
        _ current: inout IncomingSnapshot?
    ) async throws(StorageError) -> SnapshotPosition? {
        guard var now = current, now.name == order.snapshot, now.entries != nil else { return .file(offset: 0) }
        defer { current = now }
        let last = now.received == 0 ? LogIndex.zero : now.live.ascending[now.received - 1]
        guard index == last else { return .entries(after: last) }
        now.received += try verify(bytes, against: now.live.ascending[now.received...])
        try await now.entries?.append(bytes)
        if now.received == now.live.count { return nil }
        guard more, bytes.readableBytes > 0 else {
            throw StorageError(.corrupt, "\(now.received) of \(now.live.count) live entries have come")
        }
        return .entries(after: now.live.ascending[now.received - 1])
    }

    /// Checks encoded entries, which must be those of the next live indexes.
    ///
    /// - Returns: how many there are.
    private func verify(
        _ bytes: ByteBuffer, against expected: ArraySlice<LogIndex>
    ) throws(StorageError) -> Int {
        try bytes.withUnsafeReadableBytes { (bytes) throws(StorageError) -> Int in
            var offset = 0
            var count = 0
            for index in expected where offset < bytes.count {
                let header: EntryHeader
                do throws(EntryHeader.Damage) {
                    header = try EntryHeader.verify(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
                } catch { throw StorageError(.corrupt, "live entry \(index) has come damaged: \(error)") }
                guard header.index == index else {
                    throw StorageError(.corrupt, "entry \(header.index) has come in place of live entry \(index)")
                }
                offset += header.entryLength
                count += 1
            }
            guard offset == bytes.count else { throw StorageError(.corrupt, "more entries have come than are live") }
            return count
        }
    }

    func commit(_ name: SnapshotName, of uid: ServerUID) async throws(StorageError) -> StorageOutcome.Value {
        var current = incoming.withLock { $0.removeValue(forKey: uid) }
        guard var now = current, now.name == name, let metadata = now.metadata, now.received == now.live.count else {
            await discard(&current)
            throw StorageError(.gone, "snapshot \(name) of server \(uid) is not there whole")
        }
        do throws(StorageError) {
            // The entries first: a snapshot that is there must have all that it needs.
            let segments = try await now.entries?.finish() ?? []
            let file = try await now.receiver.commit()
            return .committed(file, metadata, segments)
        } catch {
            current = now
            await discard(&current)
            throw error
        }
    }

    func abandon(_ uid: ServerUID) async {
        var current = incoming.withLock { $0.removeValue(forKey: uid) }
        await discard(&current)
    }

    private func discard(_ current: inout IncomingSnapshot?) async {
        guard var now = current else { return }
        current = nil
        await now.entries?.discard()
        await now.receiver.abandon()
    }
}
