import FlotillaWire

/// Looks at the files of the write-ahead log.
struct WALExamination {
    private let directory: String
    private let files: AsyncFiles
    private var reader: WALReader
    /// The servers that were not deleted, over what stands of them in segments and snapshots.
    private(set) var servers: [RecoveredServer] = []
    /// Whether no record is lost of which nobody can tell whom it concerned.
    private(set) var isWhole = true

    /// - Parameters:
    ///   - nodeID: the node to which the files should belong.
    ///   - bases: what stands of servers in segments and snapshots.
    init(directory: String, nodeID: NodeID, bases: [ServerUID: RecoveredBase], files: AsyncFiles) {
        self.directory = directory
        self.files = files
        reader = WALReader(directory: directory, nodeID: nodeID, bases: bases, keepsEntries: false, files: files)
    }

    /// Whether the log says that a server was deleted.
    func isDeleted(_ uid: ServerUID) -> Bool { reader.replay.latest.isDeleted(uid) }

    /// Whether something of a server is damaged in the log.
    func isDamaged(_ uid: ServerUID) -> Bool { reader.replay.isDamaged(uid) }

    /// Looks at all files, of which the directory has these names; `nil` if it could not be read.
    mutating func run(_ names: [String]?, _ log: inout FindingLog) async {
        guard let names else {
            isWhole = false
            return
        }
        let summaries = await look(at: names, &log)
        let written = summaries.filter(\.hasBatches)
        reader.begin(with: written.first)
        for (place, summary) in written.enumerated() {
            do throws(StorageError) {
                try await reader.read(summary, next: place + 1 < written.count ? written[place + 1] : nil)
            } catch {
                isWhole = false
                log.add(error, file: summary.path, advice: Advice.log)
            }
        }
        reader.noteGaps()
        await checkHighest(names, summaries, &log)
        servers = reader.replay.sortedServers
        log.name(servers.map(\.creation))
        log.count(entries: reader.entryCount)
        if reader.damages.contains(where: { $0.server == nil }) { isWhole = false }
        tellDamages(written, &log)
        for summary in summaries { tell(summary, last: written.last, &log) }
    }

    private mutating func look(at names: [String], _ log: inout FindingLog) async -> [WALFileSummary] {
        var summaries: [WALFileSummary] = []
        for name in names {
            if let sequence = WALFormat.sequence(ofFile: name) {
                let summary = await look(at: name, sequence: sequence, &log)
                log.count(bytes: summary.size)
                summaries.append(summary)
            } else if name.hasSuffix(".tmp") {
                log.note("\(directory)/\(name)", "a file that was never finished", advice: Advice.removed)
            } else if name != HighestFile.name, name != NodeIdentity.Place.writeAheadLog.fileName {
                log.note("\(directory)/\(name)", "nothing that a node makes", advice: Advice.unknown)
            }
        }
        return summaries
    }

    private mutating func look(
        at name: String, sequence: UInt64, _ log: inout FindingLog
    ) async -> WALFileSummary {
        let path = "\(directory)/\(name)"
        do throws(StorageError) { return try await reader.look(at: name, sequence: sequence) } catch {
            isWhole = false
            let offset: UInt64 =
                switch error.code {
                case .version: 8
                case .wrongNode: 32
                default: 0
                }
            log.add(error, file: path, at: offset, advice: Advice.log)
            return WALFileSummary(unreadable: path, sequence: sequence)
        }
    }

    /// Checks that all files are there, through the highest that may hold batches.
    private mutating func checkHighest(
        _ names: [String], _ summaries: [WALFileSummary], _ log: inout FindingLog
    ) async {
        let highest = HighestFile(directory: directory, nodeID: reader.nodeID, files: files)
        let last = summaries.last(where: \.hasBatches)?.sequence ?? 0
        var noted: UInt64?
        if names.contains(HighestFile.name) {
            do throws(StorageError) {
                log.count(bytes: (try? await files.size(highest.path)) ?? 0)
                noted = try await highest.read()
            } catch {
                log.add(error, file: highest.path, at: error.code == .wrongNode ? 16 : 8, advice: Advice.log)
            }
        } else if last > 0 {
            log.problem(
                highest.path,
                "the file is missing that says how far the log goes, so that nobody can tell whether its newest files are",
                advice: Advice.log)
        }
        if let noted, noted < last {
            log.problem(
                highest.path, at: 32, "it says that the log ends with file \(noted), and file \(last) has been written",
                advice: Advice.log)
        }
        for missing in reader.missing(summaries, through: noted ?? 0) {
            isWhole = false
            let more = missing.upperBound - missing.lowerBound
            log.problem(
                "\(directory)/\(WALFormat.fileName(missing.lowerBound))",
                more == 0 ? "the file is missing" : "the file is missing, and \(more) more behind it",
                advice: Advice.log)
        }
    }

    private func tellDamages(_ written: [WALFileSummary], _ log: inout FindingLog) {
        let all = reader.report.harmless + reader.damages
        for damage in all.sorted(by: { ($0.file, $0.offset) < ($1.file, $1.offset) }) {
            if damage.kind == .batchesMissing, isNextUnreadable(damage.file, written) {
                log.note(
                    damage.file, at: damage.offset,
                    "whether batches are missing here can't be told, since the next file does not say how it begins",
                    advice: "Nothing needs to be done here: the next file is what is damaged.")
                continue
            }
            log.add(damage, advice: Advice.log, remark: remark(on: damage.kind))
        }
    }

    /// What does not fit what came before may do so because of what is damaged there.
    func remark(on kind: Damage.Kind) -> String? {
        let isConsequence = kind == .gap || kind == .unknownServer || kind == .snapshotMissing
        return isConsequence && !isWhole ? "maybe because of other damage in the write-ahead log" : nil
    }

    private func isNextUnreadable(_ path: String, _ written: [WALFileSummary]) -> Bool {
        guard let place = written.firstIndex(where: { $0.path == path }), place + 1 < written.count else {
            return false
        }
        return written[place + 1].firstBatch == nil
    }

    private func tell(_ summary: WALFileSummary, last: WALFileSummary?, _ log: inout FindingLog) {
        for remains in reader.remains where remains.file == summary.path {
            let isLast = summary.path == last?.path
            log.note(
                remains.file, at: remains.offset, length: remains.length,
                isLast ? "the remains of a batch that was never finished" : "what was given up at an earlier start",
                advice: "Nothing needs to be done: nobody was told that it was durable.")
        }
        switch summary.content {
        case .spent:
            log.note(
                summary.path, at: UInt64(WALFormat.blockBytes), "the remains of a first batch that was never finished",
                advice: "Nothing needs to be done: nobody was told that it was durable.")
        case .empty where summary.header?.sequence != summary.sequence || summary.header?.length != summary.size:
            log.note(
                summary.path, at: 16, "a file that was prepared and never used does not fit its name or its length",
                advice: Advice.removed)
        default: break
        }
        if summary.sequence < reader.replay.oldestSequence {
            log.note(summary.path, "nobody needs the file any more", advice: Advice.removed)
        }
    }
}
