import FlotillaWire

/// Looks at the directories of all servers.
struct ServersExamination {
    private let directory: String
    private let files: AsyncFiles
    private var servers: [ServerExamination] = []

    /// - Parameter dataDirectory: the node's data directory.
    init(of dataDirectory: String, files: AsyncFiles) {
        directory = ServersDirectory(of: dataDirectory, files: files).path
        self.files = files
    }

    /// What stands of each server in segments and snapshots.
    var bases: [ServerUID: RecoveredBase] {
        [ServerUID: RecoveredBase](uniqueKeysWithValues: servers.map { ($0.uid, $0.found.base) })
    }

    /// Reads what the files of all servers say of themselves.
    mutating func load(_ log: inout FindingLog) async {
        do throws(FileSystemError) {
            for name in try await files.list(directory) {
                guard let uid = ServerUID(name), uid.description == name else {
                    log.note("\(directory)/\(name)", "nothing that a node makes", advice: Advice.unknown)
                    continue
                }
                await load(uid, &log)
            }
        } catch {
            guard !error.isNotFound else { return }
            log.problem(directory, "the directory can't be read: \(error)", advice: Advice.fileSystem)
        }
    }

    private mutating func load(_ uid: ServerUID, _ log: inout FindingLog) async {
        let path = SegmentFormat.directory(of: uid, in: directory)
        do throws(FileSystemError) {
            var server = ServerExamination(uid: uid, path: path, names: try await files.list(path), files: files)
            await server.load()
            servers.append(server)
        } catch {
            log.problem(path, server: uid, "the directory can't be read: \(error)", advice: Advice.fileSystem)
        }
    }

    /// Looks at every byte of the files, and at how they fit what the write-ahead log says.
    func run(with wal: WALExamination, _ log: inout FindingLog) async {
        for server in servers {
            let known = wal.servers.first { $0.creation.uid == server.uid }
            if known == nil { tellUnknown(server, wal, &log) }
            await server.run(as: known, with: wal, &log)
        }
        let there = Set(servers.map(\.uid))
        for server in wal.servers where !there.contains(server.creation.uid) {
            let path = SegmentFormat.directory(of: server.creation.uid, in: directory)
            server.tellLacks(in: path, with: wal, &log)
        }
    }

    private func tellUnknown(_ server: ServerExamination, _ wal: WALExamination, _ log: inout FindingLog) {
        if wal.isDeleted(server.uid) {
            log.note(
                server.path, server: server.uid, "the directory is left over from a server that was deleted",
                advice: "Nothing needs to be done.")
        } else if wal.isWhole {
            log.problem(
                server.path, server: server.uid, "the write-ahead log knows no such server",
                advice: "Put the directory back to its own node, or the write-ahead log that belongs to it.")
        } else {
            log.note(
                server.path, server: server.uid,
                "the write-ahead log knows no such server, maybe because of what is damaged there",
                advice: "See to the write-ahead log first.")
        }
    }
}
