import FlotillaWire

/// Reads the files of a node's write-ahead log, and changes none of them.
///
/// A bad batch is torn only if nothing shows that it was once durable: a later batch in its file, or a later file that
/// goes on behind it. A torn batch is dropped whole. Any other is damage, of which all is listed; reading goes on behind
/// it as far as that can be done.
///
/// First `look` at every file, then `begin`, then `read` those that hold batches in the order of their numbers.
struct WALReader {
    /// Bytes that hold no batch, behind the last of a file.
    struct Remains: Equatable, Sendable {
        /// The file's path.
        var file: String
        /// Where they begin.
        var offset: UInt64
        /// How many there are, in whole blocks.
        var length: UInt64
    }

    let directory: String
    let nodeID: NodeID
    let files: AsyncFiles

    /// What the records say, as far as they were read.
    private(set) var replay: WALReplay
    /// What was read.
    private(set) var report = RecoveryReport()
    /// Where entries stand before which others are missing, by server; they may come later.
    private var gaps: [ServerUID: Damage] = [:]
    /// Damage by which something is lost.
    private(set) var damages: [Damage] = []
    /// Where the log goes on.
    var position: WALPosition
    /// Whose entries the files hold that were read.
    private(set) var closedFiles: [WALFileContents] = []
    /// What was left of batches that were never finished, or that were given up.
    private(set) var remains: [Remains] = []
    /// How many entries were verified.
    private(set) var entryCount: UInt64 = 0
    /// The file that was loaded last.
    var memory = AlignedMemory(capacity: 0)
    /// Whether the batch before is known, so that the next one must continue it.
    private var chained = true
    /// Where the last batch stands in the file that was read last.
    private(set) var lastBatch: Range<Int>?
    /// Whether the file system takes reads past its cache only with an error, so that the cache had to be believed.
    var readsCache = false

    /// - Parameters:
    ///   - bases: what stands of servers in snapshots and segments.
    ///   - keepsEntries: whether the entries are wanted, and not only whether they are right.
    init(
        directory: String, nodeID: NodeID, bases: [ServerUID: RecoveredBase], keepsEntries: Bool, files: AsyncFiles
    ) {
        self.directory = directory
        self.nodeID = nodeID
        self.files = files
        position = WALPosition(nodeID: nodeID)
        replay = WALReplay(bases: bases, keepsEntries: keepsEntries)
    }

    /// Takes note of damage.
    mutating func add(_ damage: Damage) {
        guard !damage.isHarmless else {
            report.harmless.append(damage)
            return
        }
        damages.append(damage)
        if let server = damage.server { replay.markDamaged(server) }
    }

    /// The servers that are lost, for good since an earlier start or by what was found damaged now.
    var lost: [LostServer] {
        let latest = replay.latest
        let found = damages.compactMap(\.server).filter { !latest.isDeleted($0) && !latest.isLost($0) }
        let recorded = latest.sortedLost.map { LostServer(uid: $0, creation: latest.creation(of: $0), damage: nil) }
        let new = Set(found).map { uid in
            LostServer(uid: uid, creation: latest.creation(of: uid), damage: damages.first { $0.server == uid })
        }
        return (recorded + new).sorted { $0.uid < $1.uid }
    }

    /// Takes note, at the end, of entries that are missing and have not come.
    mutating func noteGaps() {
        for server in replay.sortedServers where server.missing != nil && !replay.isDamaged(server.creation.uid) {
            if let gap = gaps[server.creation.uid] { add(gap) }
        }
    }

    /// Settles, at the end, which files get no more batches and which were released: files before the oldest that is
    /// needed are still there if the node stopped before they were gone.
    mutating func noteStale(_ summaries: [WALFileSummary]) {
        position.stale = summaries.map(\.sequence).filter { $0 < replay.oldestSequence }
        closedFiles.removeAll { $0.sequence < replay.oldestSequence }
        guard let resumed = position.resumption?.header.sequence else { return }
        if let last = closedFiles.last, last.sequence == resumed {
            closedFiles.removeLast()
            position.contents = replay.contents
        }
    }
}

// MARK: - The files

extension WALReader {
    /// Looks at the beginning of a file, or at all of it if no batch stands there.
    ///
    /// - Throws: what the file system says; `version` and `wrongNode` for another format's or node's file, `corrupt`
    ///   for one that is longer than any.
    mutating func look(at name: String, sequence: UInt64) async throws(StorageError) -> WALFileSummary {
        let path = "\(directory)/\(name)"
        let size = try await asStorageError { () async throws(FileSystemError) in try await files.size(path) ?? 0 }
        guard size <= WALFormat.fileBytesMax else {
            throw StorageError(.corrupt, "\(path) has \(size) bytes, more than any file of a write-ahead log")
        }
        let heads = 2 * WALFormat.blockBytes
        let got = try await load(path, count: min(heads, Int(size)))
        var summary = WALFileSummary(path: path, sequence: sequence, size: size)
        try summary.readHeader(UnsafeRawBufferPointer(rebasing: memory.bytes[..<got]), nodeID: nodeID)
        if !summary.findFirstBatch(UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])) {
            let whole = try await load(path, count: Int(size))
            summary.search(UnsafeRawBufferPointer(rebasing: memory.bytes[..<whole]))
        }
        for damage in summary.damages { add(damage) }
        return summary
    }

    /// Begins with the first of the files that hold batches.
    mutating func begin(with first: WALFileSummary?) {
        guard let number = first?.firstBatch, number > 1 else { return }
        position.nextBatch = number
        chained = false
    }

    /// Reads a file that holds batches.
    ///
    /// - Parameter next: the next of those files.
    /// - Throws: what the file system says. Reading may go on with the next file then.
    mutating func read(_ summary: WALFileSummary, next: WALFileSummary?) async throws(StorageError) {
        guard let header = summary.header else {
            chained = false
            return
        }
        let got: Int
        do throws(StorageError) { got = try await load(summary.path, count: Int(summary.size)) } catch {
            chained = false
            throw error
        }
        let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])
        report.files += 1
        lastBatch = nil
        replay.beginFile()
        readBatches(WALFileImage(path: summary.path, header: header, bytes: bytes), next: next)
        closedFiles.append(WALFileContents(sequence: summary.sequence, last: replay.contents))
    }

    /// The numbers of files that are missing: every one must be there, from the oldest that is needed to the highest
    /// that may hold batches.
    ///
    /// - Parameter summaries: all files that are there, in the order of their numbers.
    func missing(_ summaries: [WALFileSummary], through highest: UInt64) -> [ClosedRange<UInt64>] {
        let written = summaries.filter(\.hasBatches)
        let last = max(written.last?.sequence ?? 0, highest)
        // The first file of a log has number 1, and stays until a checkpoint names a later one as the oldest.
        var next =
            replay.oldestSequence == 0 ? (highest > 0 ? 1 : written.first?.sequence ?? 1) : replay.oldestSequence
        var missing: [ClosedRange<UInt64>] = []
        for sequence in summaries.map(\.sequence) where sequence >= next && sequence <= last {
            if sequence > next { missing.append(next...sequence - 1) }
            next = sequence + 1
        }
        if next <= last { missing.append(next...last) }
        return missing
    }
}

// MARK: - The batches

extension WALReader {
    /// Reads the batches of one file.
    ///
    /// A later file is the strongest witness: its first batch says by its number which was the last of this file.
    private mutating func readBatches(_ image: WALFileImage, next: WALFileSummary?) {
        var offset = WALFormat.blockBytes
        let limit = next?.firstBatch
        while limit.map({ position.nextBatch < $0 }) ?? true {
            guard let found = image.batch(at: offset), !chained || found.header.number == position.nextBatch else {
                guard let resumed = skipBadBatch(image, at: offset, next: next) else { break }
                offset = resumed
                continue
            }
            let batch = WALBatchReader(image, at: offset, header: found.header)
            guard batch.isWhole || wasDurable(found.header.number, at: offset, in: image, next: next) else { break }
            take(batch, found, image, at: offset)
            offset += found.header.paddedLength
        }
        endFile(image, at: offset, next: next)
    }

    /// Whether something shows that a batch had become durable once.
    private func wasDurable(_ number: UInt64, at offset: Int, in image: WALFileImage, next: WALFileSummary?) -> Bool {
        if let next { return next.firstBatch.map { number < $0 } ?? true }
        return image.nextBatch(after: offset, atLeast: number + 1) != nil
    }

    /// At a place where a batch should begin and none does: where to go on behind the damage; `nil` at the end.
    private mutating func skipBadBatch(_ image: WALFileImage, at offset: Int, next: WALFileSummary?) -> Int? {
        guard let later = image.nextBatch(after: offset, atLeast: position.nextBatch) else {
            if let next, next.firstBatch.map({ position.nextBatch < $0 }) ?? true {
                add(image.damage(.batchesMissing, at: offset))
                chained = false
            }
            return nil
        }
        add(image.damage(.batchHeader, at: offset, length: later - offset))
        chained = false
        return later
    }

    private mutating func take(
        _ batch: WALBatchReader, _ found: (header: WALBatchHeader, checksum: UInt32), _ image: WALFileImage,
        at offset: Int
    ) {
        if chained, found.header.previousChecksum != position.previousChecksum {
            add(image.damage(.batchChain, at: offset))
        }
        for damage in batch.damages { add(damage) }
        for record in batch.records {
            if case .entries(let run, _, _) = record.content { entryCount += UInt64(run.count) }
            let wrong = replay.apply(record)
            if let (server, missing) = replay.takeGap() {
                gaps[server] = image.damage(.gap, at: record.offset, server: server, entries: missing)
            }
            guard let wrong else { continue }
            add(image.damage(wrong.kind, at: record.offset, server: wrong.server, entries: wrong.entries))
        }
        report.batches += 1
        report.records += UInt64(found.header.recordCount)
        report.bytes += UInt64(found.header.paddedLength)
        chained = true
        lastBatch = offset..<offset + found.header.paddedLength
        position.nextBatch = found.header.number + 1
        position.previousChecksum = found.checksum
        position.resumption = WALPosition.Resumption(
            header: image.header, offset: UInt64(offset + found.header.paddedLength),
            sealed: found.header.recordCount == 0)
    }

    /// Settles where the log goes on: behind the last batch if only zeros follow and the file's checkpoint is whole,
    /// else in a fresh file. So the remains of a torn batch stay where they are, for people to look at.
    private mutating func endFile(_ image: WALFileImage, at offset: Int, next: WALFileSummary?) {
        if let first = next?.firstBatch, !chained { position.nextBatch = max(position.nextBatch, first) }
        guard !image.isZero(from: offset) else {
            if !replay.hasCheckpoint { position.resumption = nil }
            return
        }
        position.resumption = nil
        let length = image.usedBytes(from: offset)
        remains.append(Remains(file: image.path, offset: UInt64(offset), length: length))
        report.tornBytes += length
    }
}
