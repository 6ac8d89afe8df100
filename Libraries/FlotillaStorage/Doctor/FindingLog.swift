import FlotillaWire

/// Tells what is found, and counts it.
struct FindingLog {
    private let tell: @Sendable (Finding) -> Void
    private(set) var summary = DoctorSummary()
    /// The servers of which the write-ahead log tells.
    private var names: [ServerUID: Finding.Server] = [:]

    init(_ tell: @escaping @Sendable (Finding) -> Void) { self.tell = tell }

    /// Takes note of what the write-ahead log says of its servers.
    mutating func name(_ servers: [ServerCreation]) {
        for creation in servers {
            names[creation.uid] = Finding.Server(uid: creation.uid, id: creation.id, cluster: creation.clusterName)
        }
        summary.servers = UInt64(servers.count)
    }

    /// Counts a file that is looked at.
    mutating func count(bytes: UInt64) {
        summary.files += 1
        summary.bytes += bytes
    }

    /// Counts entries that are right.
    mutating func count(entries: UInt64) { summary.entries += entries }

    mutating func add(_ finding: Finding) {
        switch finding.severity {
        case .note: summary.notes += 1
        case .problem: summary.problems += 1
        }
        tell(finding)
    }

    /// Something that is not worth more than to be told.
    mutating func note(
        _ file: String, at offset: UInt64 = 0, length: UInt64 = 0, server: ServerUID? = nil, _ text: String,
        advice: String
    ) {
        add(Finding(.note, file, at: offset, length: length, server: server.map(named), text, advice: advice))
    }

    mutating func problem(
        _ file: String, at offset: UInt64 = 0, server: ServerUID? = nil, entries: ClosedRange<LogIndex>? = nil,
        _ text: String, advice: String
    ) {
        add(Finding(.problem, file, at: offset, server: server.map(named), entries: entries, text, advice: advice))
    }

    /// Damage, which is no problem if nothing is lost by it.
    ///
    /// - Parameter remark: what else is to be said of it.
    mutating func add(_ damage: Damage, advice: String, remark: String? = nil) {
        add(
            Finding(
                damage.isHarmless ? .note : .problem, damage.file, at: damage.offset, length: damage.length,
                server: damage.server.map(named), entries: damage.entries,
                damage.kind.explanation + (remark.map { ", \($0)" } ?? ""),
                advice: damage.isHarmless ? Advice.harmless : advice))
    }

    /// Why a file can't be read.
    ///
    /// - Parameter offset: where the file says whose it is, or of which format, if that is what is wrong.
    mutating func add(
        _ error: StorageError, file: String, at offset: UInt64 = 0, server: ServerUID? = nil, advice: String
    ) {
        guard error.damages.isEmpty else {
            for damage in error.damages { add(damage, advice: advice) }
            return
        }
        let needed =
            switch error.code {
            case .fileSystem: Advice.fileSystem
            case .version: Advice.version
            case .wrongNode: Advice.otherNode
            default: advice
            }
        problem(file, at: error.code == .fileSystem ? 0 : offset, server: server, error.message, advice: needed)
    }

    private func named(_ uid: ServerUID) -> Finding.Server { names[uid] ?? Finding.Server(uid: uid) }
}
