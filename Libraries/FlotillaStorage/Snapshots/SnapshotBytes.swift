import FlotillaWire
import NIOCore

/// The bytes of a snapshot file that is open, read in transfers of 1 MiB.
struct SnapshotBytes: Sendable {
    /// The length of the file.
    let size: UInt64

    private let directory: SnapshotDirectory
    private let name: String
    private let file: OpenFile
    private let files: AsyncFiles
    private var memory = AlignedMemory(capacity: 0)
    /// What of the file is in memory.
    private var window: Range<UInt64> = 0..<0

    /// Opens a file whose length can be a snapshot's.
    static func open(
        _ name: String, in directory: SnapshotDirectory, files: AsyncFiles
    ) async throws(StorageError) -> SnapshotBytes {
        let path = directory.path(of: name)
        let file = try await asStorageError { () async throws(FileSystemError) in try await files.open(path) }
        do throws(StorageError) {
            let size = try await asStorageError { () async throws(FileSystemError) in try await files.size(path) ?? 0 }
            guard SnapshotFormat.fileBytesMin...SnapshotFormat.fileBytesMax ~= size else {
                throw directory.damaged(name, at: 0, kind: .fileLength, "\(size) bytes are no snapshot")
            }
            return SnapshotBytes(size: size, directory: directory, name: name, file: file, files: files)
        } catch {
            // The first error is the one to tell; the file is closed all the same.
            _ = try? await files.perform(.close(file))
            throw error
        }
    }

    private init(size: UInt64, directory: SnapshotDirectory, name: String, file: OpenFile, files: AsyncFiles) {
        self.size = size
        self.directory = directory
        self.name = name
        self.file = file
        self.files = files
    }

    func close() async throws(StorageError) {
        try await asStorageError { () async throws(FileSystemError) in try await files.perform(.close(file)) }
    }

    /// Exactly `count` bytes from an offset on; the caller has checked that the file's length has room for them.
    ///
    /// - Parameter ahead: how many bytes are read at a time.
    mutating func read(
        at offset: UInt64, count: Int, ahead: Int = SnapshotFormat.transferBytes
    ) async throws(StorageError) -> ByteBuffer {
        precondition(count >= 0 && offset <= size && UInt64(count) <= size - offset, "a read past the end")
        var result = ByteBuffer()
        result.reserveCapacity(count)
        while result.readableBytes < count {
            let next = offset + UInt64(result.readableBytes)
            if !window.contains(next) { try await fill(from: next, count: ahead) }
            let start = Int(next - window.lowerBound)
            let part = min(count - result.readableBytes, Int(window.upperBound - next))
            result.writeBytes(UnsafeRawBufferPointer(rebasing: memory.bytes[start..<start + part]))
        }
        return result
    }

    private mutating func fill(from offset: UInt64, count ahead: Int) async throws(StorageError) {
        // There are many small snapshots; they need no memory that they can't fill.
        let count = min(ahead, Int(clamping: size))
        if memory.capacity < count { memory = AlignedMemory(capacity: count) }
        // A read that fails may have changed the memory.
        window = 0..<0
        let target = memory
        let got = try await asStorageError { () async throws(FileSystemError) in
            try await files.read(file, at: offset, count: count, into: target)
        }
        guard got > 0 else {
            throw directory.damaged(name, at: offset, kind: .fileLength, "it has become shorter than \(size) bytes")
        }
        window = offset..<offset + UInt64(got)
    }
}
