import FlotillaWire
import NIOCore

/// The note beside the write-ahead log of how far its files go.
///
/// A log whose newest files are gone looks like a shorter log, and one whose files are all gone like a new one: from
/// the files alone nobody could tell. So before a file can get its first batch, its number stands durably in a file of
/// its own, and recovery refuses a log that lacks a file up to there.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | `FLOTHIGH` |
/// | 8 | 2 | major version |
/// | 10 | 2 | minor version |
/// | 12 | 4 | CRC32C of the 24 bytes that follow |
/// | 16 | 16 | NodeID |
/// | 32 | 8 | highest sequence of a file that may hold batches |
struct HighestFile {
    static let name = "highest"
    private static let magic: UInt64 = 0x4847_4948_544f_4c46
    private static let byteCount = 40

    let directory: String
    let nodeID: NodeID
    let files: AsyncFiles

    /// The file's path.
    var path: String { "\(directory)/\(Self.name)" }

    /// The number that was noted; 0 before the first file was prepared.
    func read() async throws(StorageError) -> UInt64 {
        let memory = AlignedMemory(capacity: WALFormat.blockBytes)
        let count = try await asStorageError { () async throws(FileSystemError) -> Int? in
            guard try await files.size(path) != nil else { return nil }
            return try await files.with(path) { (file) async throws(FileSystemError) in
                try await files.read(file, at: 0, count: WALFormat.blockBytes, into: memory)
            }
        }
        guard let count else { return 0 }
        return try decode(UnsafeRawBufferPointer(rebasing: memory.bytes[..<count]))
    }

    private func decode(_ bytes: UnsafeRawBufferPointer) throws(StorageError) -> UInt64 {
        func damaged(_ reason: String) -> StorageError {
            StorageError(
                .corrupt,
                "\(path) is damaged: \(reason). It says how far the log's files go; put back a good copy of the directory",
                damages: [Damage(file: path, offset: 0, kind: .fileHeader)])
        }
        guard bytes.count == Self.byteCount, bytes.little(UInt64.self, at: 0) == Self.magic else {
            throw damaged("it has \(bytes.count) bytes, or another kind of file's")
        }
        guard Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[16...])) == bytes.little(UInt32.self, at: 12)
        else {
            throw damaged("its checksum does not match")
        }
        let major = bytes.little(UInt16.self, at: 8)
        guard major == WALFormat.major else {
            throw StorageError(.version, "\(path) has format \(major), this program reads \(WALFormat.major) only")
        }
        guard NodeID(high: bytes.little(UInt64.self, at: 16), low: bytes.little(UInt64.self, at: 24)) == nodeID else {
            throw StorageError(.wrongNode, "\(path) belongs to another node's log")
        }
        return bytes.little(UInt64.self, at: 32)
    }

    /// Makes a number durable.
    func write(_ sequence: UInt64) async throws(FileSystemError) {
        var body = ByteBuffer()
        body.writeIdentifier(nodeID)
        body.writeLittle(sequence)
        var buffer = ByteBuffer()
        buffer.writeLittle(Self.magic)
        buffer.writeLittle(WALFormat.major)
        buffer.writeLittle(WALFormat.minor)
        buffer.writeLittle(body.withUnsafeReadableBytes { Checksum.crc32c($0) })
        buffer.writeImmutableBuffer(body)
        let memory = AlignedMemory(capacity: WALFormat.blockBytes)
        buffer.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            memory.base.copyMemory(from: base, byteCount: bytes.count)
        }
        try await files.durablyReplace(Self.name, in: directory, count: buffer.readableBytes, from: memory)
    }
}
