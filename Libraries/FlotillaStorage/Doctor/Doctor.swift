import FlotillaWire

/// Looks at every byte of a stopped node's data directory and tells what is wrong.
///
/// It only ever reads: nothing is made, renamed, removed, cut or synced. So it can't make durable what it has read, as
/// recovery does, and what it says holds for what the system shows of the files.
package struct Doctor: Sendable {
    private let dataDirectory: String
    private let walDirectory: String
    private let files: AsyncFiles

    /// A doctor for a data directory.
    ///
    /// - Parameter walDirectory: the directory of the write-ahead log; `nil` for `wal` in the data directory.
    package init(dataDirectory: String, walDirectory: String? = nil, files: AsyncFiles) {
        self.dataDirectory = dataDirectory
        self.walDirectory = walDirectory ?? "\(dataDirectory)/wal"
        self.files = files
    }

    /// Looks at everything, on the executor of the calling task.
    ///
    /// What can't be read is told like what is damaged, and does not keep the doctor from looking at the rest. It holds
    /// no more in memory than the longest file of the write-ahead log, and of each server what its segments and
    /// snapshots say of themselves.
    ///
    /// - Parameter tell: takes what is found, as soon as it is known whom it concerns.
    /// - Throws: `locked` when a node runs on the directory, `setting` when it is not one of a node, and what the file
    ///   system says when it can't be listed.
    package func examine(_ tell: @escaping @Sendable (Finding) -> Void) async throws(StorageError) -> DoctorSummary {
        let names = try await asStorageError { () async throws(FileSystemError) in try await files.list(dataDirectory) }
        let directory = NodeDirectory(path: dataDirectory, walPath: walDirectory, names: names, files: files)
        guard directory.isOfANode else {
            throw StorageError(.setting, "\(dataDirectory) is not the data directory of a node")
        }
        var log = FindingLog(tell)
        let lock = try await directory.lock(&log)
        await examine(directory, &log)
        // A file that was only locked: closing it lets go of the lock, and if that fails, the end of the process does.
        if let lock { _ = try? await files.perform(.close(lock)) }
        return log.summary
    }

    private func examine(_ directory: NodeDirectory, _ log: inout FindingLog) async {
        let walNames = await directory.walNames(&log)
        let nodeID = await directory.identity(walNames: walNames, &log)
        var servers = ServersExamination(of: dataDirectory, files: files)
        await servers.load(&log)
        var wal = WALExamination(directory: walDirectory, nodeID: nodeID, bases: servers.bases, files: files)
        await wal.run(walNames, &log)
        await servers.run(with: wal, &log)
    }
}
