import FlotillaWire

/// Looks at the files of one server.
struct ServerExamination {
    let uid: ServerUID
    let path: String
    private let files: AsyncFiles
    private let segments: [UInt64]
    private let snapshots: [(kind: SnapshotKind, index: LogIndex, term: Term)]
    private let others: [String]
    /// What recovery would find.
    private(set) var found: ServerFiles
    /// Segments for which newer ones stand.
    private var replaced: [UInt64] = []
    /// Segments whose snapshot is not there.
    private var orphans: [UInt64] = []

    /// - Parameter names: what is in the directory.
    init(uid: ServerUID, path: String, names: [String], files: AsyncFiles) {
        self.uid = uid
        self.path = path
        self.files = files
        segments = names.compactMap { SegmentFormat.number(ofFile: $0) }.sorted()
        snapshots = names.compactMap { SnapshotFile.parts(of: $0) }.sorted { ($0.index, $0.term) < ($1.index, $1.term) }
        others = names.filter { SegmentFormat.number(ofFile: $0) == nil && SnapshotFile.parts(of: $0) == nil }
        // Whose the snapshots are is known only when the write-ahead log has said of which cluster the server is.
        found = ServerFiles(uid: uid, directory: SnapshotDirectory(path: path, server: uid, cluster: .none))
    }

    private var segmentFiles: SegmentFiles { SegmentFiles(directory: path, uid: uid, files: files) }

    /// Reads what the files say of themselves, as recovery does. What can't be read is told by `run`.
    mutating func load() async {
        var loaded = LoadedSegments(set: SegmentSet(uid: uid), damages: [], installed: [])
        for number in segments {
            guard let (file, reader) = try? await segmentFiles.open(number) else { continue }
            // A file that was only read loses nothing.
            _ = try? await files.perform(.close(file))
            replaced += loaded.take(reader)
        }
        found.segments = loaded.set
        for parts in snapshots {
            var damages: [Damage] = []
            try? await found.snapshots.look(at: parts, files, &damages)
        }
        if let newest = found.snapshots.newestSnapshot {
            found.metadata = try? await SnapshotReader.with(newest, files: files) { $0.metadata }
        }
        orphans = found.segments.dropInstalled(
            exceptFor: found.metadata?.index ?? .zero, term: found.metadata?.term ?? .zero)
    }

    /// Looks at every byte, and at how the files fit what the write-ahead log says of the server, if it knows it.
    func run(as known: RecoveredServer?, with wal: WALExamination, _ log: inout FindingLog) async {
        tellOthers(&log)
        var server = known
        server?.take(found)
        var live = LiveIndexes()
        let newest = found.snapshots.newestSnapshot?.name
        for parts in snapshots {
            let directory = SnapshotDirectory(path: path, server: uid, cluster: known?.creation.clusterID ?? .none)
            let examination = SnapshotExamination(
                parts: parts, directory: directory, isNewest: examined(parts) == newest,
                isSuperseded: parts.index < found.metadata?.index ?? .zero, files: files)
            live = await examination.run(&log) ?? live
        }
        var needs = LiveEntries(live, server)
        for number in segments {
            tellUse(of: number, &log)
            var examination = SegmentExamination(segmentFiles, number, needs: needs.wanted(of: number))
            await examination.run(&log)
            needs.add(missing: examination.missing)
        }
        guard let server else { return }
        server.tellLacks(in: path, with: wal, &log)
        for (range, count) in needs.missing {
            log.problem(
                path, server: uid, entries: range,
                "\(count) entries that the snapshot \(newest ?? "") needs are missing",
                advice: Advice.server)
        }
    }

    private func examined(_ parts: (kind: SnapshotKind, index: LogIndex, term: Term)) -> String? {
        parts.kind == .snapshot ? SnapshotFile.name(parts.kind, parts.index, parts.term) : nil
    }

    private func tellOthers(_ log: inout FindingLog) {
        for name in others {
            let isTemporary = name.hasSuffix(".tmp")
            log.note(
                "\(path)/\(name)", server: uid,
                isTemporary ? "a file that was never finished" : "nothing that a node makes",
                advice: isTemporary ? Advice.removed : Advice.unknown)
        }
    }

    private func tellUse(of number: UInt64, _ log: inout FindingLog) {
        let file = segmentFiles.path(number)
        if replaced.contains(number) {
            log.note(file, server: uid, "a compacted segment has taken its place", advice: Advice.removed)
        }
        guard orphans.contains(number) else { return }
        log.note(
            file, server: uid, "the segment came with a snapshot that is not there",
            advice: found.snapshots.damaged.isEmpty ? Advice.removed : "See to the damaged snapshot before a start.")
    }
}

extension RecoveredServer {
    /// Tells what the server's files lack of what the write-ahead log says.
    func tellLacks(in directory: String, with wal: WALExamination, _ log: inout FindingLog) {
        let uid = creation.uid
        for damage in lacks(in: directory) where damage.kind != .endMissing || !wal.isDamaged(uid) {
            log.add(damage, advice: Advice.server, remark: wal.remark(on: damage.kind))
        }
        if wasSuperseded {
            log.note(
                directory, server: uid, "the snapshot at \(snapshot.index) has taken the place of another log",
                advice: "Nothing needs to be done.")
        }
    }
}
