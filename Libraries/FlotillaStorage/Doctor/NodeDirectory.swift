import FlotillaWire

/// The data directory and the directory of the write-ahead log, as the doctor looks at them: whose they are, and what
/// stands in them beside the log and the servers.
struct NodeDirectory {
    static let lockName = "LOCK"
    static let logName = "wal"
    static let serversName = "servers"

    let path: String
    let walPath: String
    /// The names in the data directory.
    let names: [String]
    let files: AsyncFiles

    /// What is known of an identity file.
    private enum Identity {
        case right(NodeID)
        case missing
        case unknown
    }

    /// Whether anything in it is a node's.
    var isOfANode: Bool { names.contains { isKnown($0) } }

    private func isKnown(_ name: String) -> Bool {
        [Self.lockName, NodeIdentity.Place.data.fileName, Self.logName, Self.serversName].contains(name)
    }

    /// Locks the directory if it has a file for that, so that no node starts on it meanwhile.
    ///
    /// - Returns: the file, which is to be closed in the end.
    /// - Throws: `locked` when somebody else has the lock.
    func lock(_ log: inout FindingLog) async throws(StorageError) -> OpenFile? {
        guard names.contains(Self.lockName) else { return nil }
        let lockPath = "\(path)/\(Self.lockName)"
        do throws(FileSystemError) {
            log.count(bytes: try await files.size(lockPath) ?? 0)
            let file = try await files.open(lockPath)
            do throws(FileSystemError) {
                try await files.perform(.lock(file))
                return file
            } catch {
                // The refusal is what counts; the file holds no lock.
                _ = try? await files.perform(.close(file))
                throw error
            }
        } catch {
            guard !error.isLocked else {
                throw StorageError(
                    .locked, "the data directory \(path) is in use by another process, which holds \(lockPath)")
            }
            log.note(
                lockPath, "whether a node runs on the directory can't be told: \(error)",
                advice: "Make sure that none does.")
            return nil
        }
    }

    /// The names in the directory of the write-ahead log; `nil` if it can't be read.
    func walNames(_ log: inout FindingLog) async -> [String]? {
        do throws(FileSystemError) { return try await files.list(walPath) } catch {
            // A start that was cut off has made nothing yet.
            if error.isNotFound, isUnfinished([]) { return [] }
            let advice =
                error.isNotFound
                ? "If the log has a directory of its own, say so with --wal-dir; if not, put back a good copy of it."
                : Advice.fileSystem
            log.problem(walPath, "the directory of the write-ahead log can't be read: \(error)", advice: advice)
            return nil
        }
    }

    /// Looks at the identity files and at everything that nobody else looks at.
    ///
    /// - Returns: the node to which the files belong; `none` where no file tells.
    func identity(walNames: [String]?, _ log: inout FindingLog) async -> NodeID {
        tellOthers(&log)
        let own = await read(.data, in: path, &log)
        let owner = walNames == nil ? .unknown : await read(.writeAheadLog, in: walPath, &log)
        switch (own, owner) {
        case (.missing, _): tellMissing(walNames ?? [], &log)
        case (_, .missing):
            log.problem(
                path(of: .writeAheadLog),
                "the file is missing that says whose the write-ahead log is", advice: Advice.identity)
        case (.right(let own), .right(let owner)) where own != owner:
            log.problem(
                path(of: .writeAheadLog), at: 16,
                "the write-ahead log belongs to node \(owner), the data directory to \(own)", advice: Advice.otherNode)
        default: break
        }
        if case .right(let nodeID) = own { return nodeID }
        if case .right(let nodeID) = owner { return nodeID }
        return await nodeID(ofFiles: walNames ?? []) ?? .none
    }

    private func path(of place: NodeIdentity.Place) -> String {
        "\(place == .data ? path : walPath)/\(place.fileName)"
    }

    private func read(
        _ place: NodeIdentity.Place, in directory: String, _ log: inout FindingLog
    ) async -> Identity {
        do throws(StorageError) {
            let path = path(of: place)
            if let size = try? await files.size(path) { log.count(bytes: size) }
            return try await NodeIdentity.read(place, in: directory, files: files).map { .right($0.nodeID) } ?? .missing
        } catch {
            log.add(error, file: path(of: place), at: 8, advice: Advice.identity)
            return .unknown
        }
    }

    private func tellMissing(_ walNames: [String], _ log: inout FindingLog) {
        guard !isUnfinished(walNames) else {
            log.note(
                path(of: .data), "the directory has no identity yet: its first start was cut off",
                advice: "Nothing needs to be done: the next start repeats it.")
            return
        }
        log.problem(
            path(of: .data), "the file is missing that says whose the directory is", advice: Advice.identity)
    }

    /// Whether nothing is there that only a node with an identity makes.
    private func isUnfinished(_ walNames: [String]) -> Bool {
        !names.contains(NodeIdentity.Place.data.fileName) && !names.contains(Self.serversName)
            && !walNames.contains { WALFormat.sequence(ofFile: $0) != nil }
    }

    private func tellOthers(_ log: inout FindingLog) {
        for name in names where !isKnown(name) {
            let isTemporary = name == NodeIdentity.Place.data.fileName + ".tmp"
            log.note(
                "\(path)/\(name)", isTemporary ? "a file that was never finished" : "nothing that a node makes",
                advice: isTemporary ? Advice.removed : Advice.unknown)
        }
    }

    /// Whose the files of the log are, if no identity file tells.
    private func nodeID(ofFiles walNames: [String]) async -> NodeID? {
        let memory = AlignedMemory(capacity: WALFormat.blockBytes)
        for name in walNames where WALFormat.sequence(ofFile: name) != nil {
            let count = try? await files.with("\(walPath)/\(name)") { (file) async throws(FileSystemError) in
                try await files.read(file, at: 0, count: WALFormat.blockBytes, into: memory)
            }
            let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<(count ?? 0)])
            let header = WALFileHeader(from: bytes, at: 0) ?? WALFileHeader(from: bytes, at: WALFileHeader.copyOffset)
            if let header { return header.nodeID }
        }
        return nil
    }
}
