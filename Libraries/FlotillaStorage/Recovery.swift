import FlotillaWire

/// Reads a write-ahead log from its files.
///
/// A bad batch is torn only if nothing shows that it was once durable: a later batch in its file, or a later file that
/// goes on behind it. A torn batch is dropped whole. Any other is damage, and nothing ever starts silently shorter:
/// all damage is listed, and for now the log is refused.
///
/// Recovery removes what an unfinished preparation left, notes what a finished one did not, and changes nothing that is
/// in the log: it can be cut off anywhere and repeated. What it has read it makes durable, since a batch whose sync was cut off may be complete in the
/// system's cache and still be lost in a power failure.
public struct Recovery {
    private let settings: WALSettings
    private let nodeID: NodeID
    let files: AsyncFiles

    private var replay: WALReplay
    private var report = RecoveryReport()
    private var damages: [Damage] = []
    private var position: WALPosition
    private var closedFiles: [WALFileContents] = []
    /// Where entries stand before which others are missing, by server; they may come later.
    private var gaps: [ServerUID: Damage] = [:]
    var memory = AlignedMemory(capacity: 0)
    /// Whether the batch before is known, so that the next one must continue it.
    private var chained = true
    /// Where the last batch stands in the file that was read last.
    var lastBatch: Range<Int>?
    /// Whether the file system takes reads past its cache only with an error, so that the cache had to be believed.
    var readsCache = false

    private init(
        settings: WALSettings, nodeID: NodeID, bases: [ServerUID: RecoveredBase], files: AsyncFiles
    ) {
        self.settings = settings
        self.nodeID = nodeID
        self.files = files
        position = WALPosition(nodeID: nodeID)
        replay = WALReplay(bases: bases)
    }

    /// Reads the log of a node, on the executor of the calling task.
    ///
    /// - Parameter bases: what stands of servers in snapshots and segments.
    public static func run(
        settings: WALSettings, nodeID: NodeID, bases: [ServerUID: RecoveredBase] = [:], files: AsyncFiles
    ) async throws(StorageError) -> sending RecoveredNode {
        try settings.validate()
        var recovery = Recovery(settings: settings, nodeID: nodeID, bases: bases, files: files)
        try await recovery.read()
        return recovery.result
    }

    /// Reads the log of a node, and what its servers have in segments and snapshots.
    ///
    /// - Parameter dataDirectory: the directory that holds the servers' files.
    public static func run(
        settings: WALSettings, nodeID: NodeID, dataDirectory: String, files: AsyncFiles
    ) async throws(StorageError) -> sending RecoveredNode {
        try settings.validate()
        let contents = try await ServersDirectory(of: dataDirectory, files: files).load()
        var recovery = Recovery(
            settings: settings, nodeID: nodeID, bases: contents.servers.mapValues(\.base), files: files)
        for damage in contents.damages { recovery.add(damage) }
        try await recovery.read()
        var node = recovery.result
        for position in node.servers.indices {
            node.servers[position].take(contents.servers[node.servers[position].creation.uid])
        }
        try recovery.check(node.servers)
        return node
    }

    private var result: RecoveredNode {
        let recovery = self
        return RecoveredNode(
            servers: recovery.replay.sortedServers, peers: recovery.replay.latest.sortedPeers,
            tombstones: recovery.replay.latest.sortedTombstones, closedFiles: recovery.closedFiles,
            start: WALStart(position: recovery.position, latest: recovery.replay.latest), report: recovery.report)
    }

    /// What a server has outside the log must fit what the log says.
    private mutating func check(_ servers: [RecoveredServer]) throws(StorageError) {
        for server in servers {
            let directory = server.files?.snapshots.directory.path ?? settings.directory
            if let floor = server.snapshotFloor, floor.index > server.files?.metadata?.index ?? .zero {
                add(Damage(file: directory, offset: 0, kind: .snapshotMissing, server: server.creation.uid))
            }
            for gap in server.files?.segments.gaps(behind: server.snapshot.index) ?? [] {
                add(
                    Damage(
                        file: directory, offset: 0, kind: .gap, server: server.creation.uid, entries: gap))
            }
        }
        try refuseDamage()
    }

    private mutating func read() async throws(StorageError) {
        var summaries = try await survey()
        let written = summaries.filter(\.hasBatches)
        if let first = written.first?.firstBatch, first > 1 {
            position.nextBatch = first
            chained = false
        }
        for (place, summary) in written.enumerated() {
            let next = place + 1 < written.count ? written[place + 1] : nil
            try await readFile(summary, next: next)
        }
        let highest = HighestFile(directory: settings.directory, nodeID: nodeID, files: files)
        let noted = try await highest.read()
        checkSequences(summaries, through: noted)
        for server in replay.sortedServers where server.missing != nil && !replay.isDamaged(server.creation.uid) {
            if let gap = gaps[server.creation.uid] { add(gap) }
        }
        try refuseDamage()
        if let last = written.last { try await makeDurable(last) }
        try await keepPrepared(&summaries, behind: written.last?.sequence ?? 0)
        // The preparation of the last file may have been killed between its name and the note of its number.
        if let last = summaries.last?.sequence, last > noted { try await noteHighest(last) }
        position.oldestSequence = replay.oldestSequence
        noteStale(summaries)
        position.nextSequence = (summaries.last?.sequence ?? 0) + 1
        position.files = summaries.count
        position.bytes = summaries.reduce(0) { $0 + $1.size }
    }

    /// Files before the oldest that is needed were released, and the node stopped before they were gone.
    private mutating func noteStale(_ summaries: [WALFileSummary]) {
        position.stale = summaries.map(\.sequence).filter { $0 < replay.oldestSequence }
        closedFiles.removeAll { $0.sequence < replay.oldestSequence }
        guard let resumed = position.resumption?.header.sequence else { return }
        if let last = closedFiles.last, last.sequence == resumed {
            closedFiles.removeLast()
            position.contents = replay.contents
        }
    }

    private func refuseDamage() throws(StorageError) {
        guard let first = damages.first else { return }
        let servers = Set(damages.compactMap(\.server)).sorted()
        let concerned =
            servers.isEmpty ? "which servers are concerned can't be known" : "it concerns \(servers.count) servers"
        throw StorageError(
            .corrupt,
            "the write-ahead log is damaged in \(damages.count) places, first \(first); \(concerned). Keep the files; "
                + "put back a good copy of the directory, or remove this node's members from their clusters and add "
                + "them again with an empty directory",
            damages: damages)
    }
}

// MARK: - The files

extension Recovery {
    /// Looks at every file of the directory, removing unfinished ones.
    private mutating func survey() async throws(StorageError) -> [WALFileSummary] {
        try await syncNames()
        let names = try await list()
        var summaries: [WALFileSummary] = []
        for name in names {
            if name.hasSuffix(".tmp") {
                try await remove(name)
            } else if let sequence = WALFormat.sequence(ofFile: name) {
                summaries.append(try await look(at: name, sequence: sequence))
            }
        }
        return summaries.sorted { $0.sequence < $1.sequence }
    }

    /// Makes the names of the directory durable: a preparation that was killed before it had done so leaves a file
    /// that is there for every reader, and gone after a power failure with all that was written into it.
    private func syncNames() async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            try await files.perform(.syncDirectory(path: settings.directory))
        }
    }

    private mutating func look(at name: String, sequence: UInt64) async throws(StorageError) -> WALFileSummary {
        let path = "\(settings.directory)/\(name)"
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

    /// Every file must be there, from the oldest that is needed to the highest that may hold batches.
    private mutating func checkSequences(_ summaries: [WALFileSummary], through highest: UInt64) {
        let written = summaries.filter(\.hasBatches)
        let last = max(written.last?.sequence ?? 0, highest)
        let there = Set(summaries.map(\.sequence))
        // The first file of a log has number 1, and stays until a checkpoint names a later one as the oldest.
        let oldest =
            replay.oldestSequence == 0 ? (highest > 0 ? 1 : written.first?.sequence ?? 1) : replay.oldestSequence
        for sequence in oldest..<max(oldest, last + 1) where !there.contains(sequence) {
            add(
                Damage(
                    file: "\(settings.directory)/\(WALFormat.fileName(sequence))", offset: 0, kind: .fileMissing))
            // A range of missing files is told by its first; a number that lies must not cost a million lines.
            break
        }
    }

    private func noteHighest(_ sequence: UInt64) async throws(StorageError) {
        let highest = HighestFile(directory: settings.directory, nodeID: nodeID, files: files)
        try await asStorageError { () async throws(FileSystemError) in try await highest.write(sequence) }
    }

    /// Keeps the empty files that directly follow the last one, and removes the others behind it.
    private mutating func keepPrepared(
        _ summaries: inout [WALFileSummary], behind last: UInt64
    ) async throws(StorageError) {
        var kept: [WALFileSummary] = []
        for summary in summaries {
            let follows = summary.sequence == (kept.last?.sequence ?? last) + 1
            if summary.sequence <= last || summary.content == .spent {
                kept.append(summary)
            } else if summary.content == .empty, follows, summary.size == settings.fileBytes,
                let header = summary.header, header.sequence == summary.sequence, header.length == summary.size
            {
                kept.append(summary)
                position.prepared.append(PreparedFile(header: header))
            } else {
                // Whoever is cut off between the two must not find a file missing that held nothing.
                try await noteHighest(kept.last?.sequence ?? 0)
                try await remove(WALFormat.fileName(summary.sequence))
            }
        }
        summaries = kept
    }

    private mutating func readFile(
        _ summary: WALFileSummary, next: WALFileSummary?
    ) async throws(StorageError) {
        guard let header = summary.header else {
            chained = false
            return
        }
        let got = try await load(summary.path, count: Int(summary.size))
        let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])
        report.files += 1
        lastBatch = nil
        replay.beginFile()
        readBatches(WALFileImage(path: summary.path, header: header, bytes: bytes), next: next)
        closedFiles.append(WALFileContents(sequence: summary.sequence, last: replay.contents))
    }

    private func list() async throws(StorageError) -> [String] {
        try await asStorageError { () async throws(FileSystemError) in try await files.list(settings.directory) }
    }

    private func remove(_ name: String) async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in
            try await files.removeIfThere("\(settings.directory)/\(name)")
            try await files.perform(.syncDirectory(path: settings.directory))
        }
    }

    private mutating func add(_ damage: Damage) {
        if damage.isHarmless { report.harmless.append(damage) } else { damages.append(damage) }
        if let server = damage.server { replay.markDamaged(server) }
    }
}

// MARK: - The batches

extension Recovery {
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
        report.tornBytes += image.usedBytes(from: offset)
    }
}
