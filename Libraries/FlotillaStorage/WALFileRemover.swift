/// Removes write-ahead log files that were released: a job for the background.
///
/// They go one after the other, the oldest first, each for good before the next: whatever a crash leaves is the end of
/// the log without a hole in it.
public struct WALFileRemover: Sendable {
    private let directory: String

    /// Removes files from a directory.
    public init(directory: String) { self.directory = directory }

    /// Removes the files with these sequence numbers, which ascend. One that is gone already is no error.
    public func remove(_ sequences: [UInt64], files: AsyncFiles) async throws(FileSystemError) {
        for sequence in sequences {
            try await files.removeIfThere("\(directory)/\(WALFormat.fileName(sequence))")
            try await files.perform(.syncDirectory(path: directory))
        }
    }
}
