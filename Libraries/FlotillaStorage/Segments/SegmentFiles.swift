import FlotillaWire

/// The segment files of one server.
package struct SegmentFiles: Sendable {
    /// The server's directory, which must be there before anything is written.
    package let directory: String
    /// The server.
    package let uid: ServerUID
    let files: AsyncFiles

    /// The segment files of a server in its directory.
    package init(directory: String, uid: ServerUID, files: AsyncFiles) {
        self.directory = directory
        self.uid = uid
        self.files = files
    }

    /// Where the segment with a number stands.
    package func path(_ number: UInt64) -> String { "\(directory)/\(SegmentFormat.fileName(number))" }

    func temporaryPath(_ number: UInt64) -> String { path(number) + ".tmp" }

    /// Removes segments, and makes that durable. The set must not show them any more, and what they hid must not come
    /// back by it: that is so for what the set gave as disposable or as replaced.
    package func remove(_ numbers: [UInt64]) async throws(StorageError) {
        guard !numbers.isEmpty else { return }
        do throws(FileSystemError) {
            for number in numbers { try await files.removeIfThere(path(number)) }
            try await files.perform(.syncDirectory(path: directory))
        } catch { throw StorageError(error) }
    }

    /// Opens a segment and reads its header and tail.
    ///
    /// - Returns: the file, which is open and the caller's to close, and what was read; `nil` when it is not there.
    func open(_ number: UInt64) async throws(StorageError) -> (file: OpenFile, reader: SegmentFileReader)? {
        let path = path(number)
        let found: (OpenFile, UInt64)
        do throws(FileSystemError) {
            guard let size = try await files.size(path) else { return nil }
            found = (try await files.open(path), size)
        } catch {
            // It may go between the two.
            if error.isNotFound { return nil }
            throw StorageError(error)
        }
        var reader = SegmentFileReader(found.0, path: path, size: found.1, uid: uid, number: number, files: files)
        do throws(StorageError) { try await reader.read() } catch {
            // The first error is the one to tell.
            _ = try? await files.perform(.close(found.0))
            throw error
        }
        return (found.0, reader)
    }
}
