import FlotillaWire

/// Makes a write-ahead log file ready: a job for the background.
///
/// The file is made under a temporary name, filled with zeros from end to end, given its header, synced, renamed, and
/// its directory synced. Only then may it get a batch. A file that was merely reserved would grow its metadata at
/// every sync; one that was written once does not.
public struct WALFilePreparer: Sendable {
    private let settings: WALSettings
    private let mode: WALWriteMode
    private let nodeID: NodeID

    /// Prepares files for a node's log.
    public init(settings: WALSettings, mode: WALWriteMode, nodeID: NodeID) {
        self.settings = settings
        self.mode = mode
        self.nodeID = nodeID
    }

    /// Prepares one file.
    ///
    /// - Parameters:
    ///   - sequence: the number that the log asked for.
    ///   - salt: a random number, so that no record of another file is ever taken for one of this.
    public func prepare(
        sequence: UInt64, salt: UInt64, files: AsyncFiles
    ) async throws(FileSystemError) -> PreparedFile {
        let header = WALFileHeader(sequence: sequence, salt: salt, nodeID: nodeID, length: settings.fileBytes)
        let path = "\(settings.directory)/\(WALFormat.fileName(sequence))"
        let temporary = path + ".tmp"
        try await files.removeIfThere(temporary)
        do throws(FileSystemError) {
            try await fill(temporary, header: header, files: files)
        } catch {
            // Frees the space of what was filled before the disk was full; the first error is the one to tell.
            _ = try? await files.removeIfThere(temporary)
            throw error
        }
        try await files.durablyRename(temporary, to: path, in: settings.directory)
        try await HighestFile(directory: settings.directory, nodeID: nodeID, files: files).write(sequence)
        return PreparedFile(header: header)
    }

    private func fill(_ path: String, header: WALFileHeader, files: AsyncFiles) async throws(FileSystemError) {
        let block = AlignedMemory(capacity: WALFormat.blockBytes)
        header.store(to: block.base)
        try await files.with(path, mode.preparationOptions) { (file) async throws(FileSystemError) in
            try await files.perform(.zeroFill(file, count: header.length))
            try await files.perform(.write(file, at: 0, count: WALFormat.blockBytes, from: block))
            try await files.perform(.syncAll(file))
        }
    }
}
