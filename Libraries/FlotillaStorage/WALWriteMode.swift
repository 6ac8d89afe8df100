/// How writes are made durable, as it was settled for one file system.
public enum WALWriteMode: String, Sendable {
    /// Opened with `O_DIRECT | O_DSYNC`; a write that returns is durable.
    case direct
    /// Opened with `O_DSYNC`; a write that returns is durable.
    case dataSyncOnWrite
    /// Each write is followed by `fdatasync`.
    case dataSync
    /// Each write is followed by `fsync`.
    case fullSync

    /// How a file is opened for batches.
    var openOptions: OpenOptions {
        switch self {
        case .direct: [.write, .direct, .dataSync]
        case .dataSyncOnWrite: [.write, .dataSync]
        case .dataSync, .fullSync: [.write]
        }
    }

    /// How a file is opened to be filled with zeros. Direct writing leaves nothing in the page cache that later
    /// direct writes would have to throw out.
    var preparationOptions: OpenOptions { self == .direct ? [.write, .createNew, .direct] : [.write, .createNew] }

    /// The operation that makes a finished write durable, if one is needed.
    func sync(_ file: OpenFile) -> FileOperation? {
        switch self {
        case .direct, .dataSyncOnWrite: nil
        case .dataSync: .syncData(file)
        case .fullSync: .syncAll(file)
        }
    }
}

extension WALSettings {
    /// Settles the sync method for the file system of the log's directory. For `auto` it writes one aligned block to
    /// a file of its own, since only a write that works shows that direct writes work.
    public func resolveWriteMode(_ files: AsyncFiles) async throws(StorageError) -> WALWriteMode {
        switch syncMethod {
        case .datasync: return .dataSync
        case .sync: return .fullSync
        case .oSync: return .dataSyncOnWrite
        case .auto: return try await takesDirectWrites(files) ? .direct : .dataSync
        }
    }

    private func takesDirectWrites(_ files: AsyncFiles) async throws(StorageError) -> Bool {
        let path = "\(directory)/probe.tmp"
        do throws(FileSystemError) {
            try await files.removeIfThere(path)
            let block = AlignedMemory(capacity: WALFormat.blockBytes)
            try await files.with(path, [.write, .createNew, .direct, .dataSync]) {
                (file) async throws(FileSystemError) in
                try await files.perform(.write(file, at: 0, count: WALFormat.blockBytes, from: block))
            }
            try await files.removeIfThere(path)
            return true
        } catch {
            // The first error is the one to tell, and a left-over probe is removed by the next start.
            _ = try? await files.removeIfThere(path)
            if error.isUnsupported { return false }
            throw StorageError(error)
        }
    }
}
