import FlotillaWire
import NIOCore

/// What is read of a snapshot file when it is opened: its header, its metadata and its end block, all of them checked.
struct SnapshotOpening {
    let metadata: SnapshotMetadata
    let end: SnapshotEnd
    /// What the checksum of every block starts from.
    let seed: UInt32
    /// Where the first block begins.
    let blocksStart: UInt64

    private let directory: SnapshotDirectory
    private let name: String

    /// How many live indexes there are, no more than there are indexes.
    var liveCount: Int { Int(end.tally.liveIndexes) }

    /// Reads them from a file.
    init(
        _ name: String, in directory: SnapshotDirectory, _ bytes: inout SnapshotBytes
    ) async throws(StorageError) {
        self.name = name
        self.directory = directory
        let (header, seed) = try await Self.header(name, in: directory, &bytes)
        self.seed = seed
        let length = UInt64(header.metadataLength)
        blocksStart = UInt64(SnapshotHeader.byteCount) + length
        guard length <= SnapshotFormat.metadataBytesMax, length <= bytes.size - SnapshotFormat.fileBytesMin else {
            throw directory.damaged(name, at: 12, kind: .fileHeader, "metadata of \(length) bytes does not fit")
        }
        metadata = try await Self.metadata(header, name, in: directory, &bytes)
        end = try await Self.end(seed, name, in: directory, &bytes)
        guard end.tally.liveIndexes <= metadata.index.rawValue else {
            throw directory.damaged(
                name, at: bytes.size - UInt64(SnapshotEnd.byteCount), kind: .snapshotEnd,
                "\(end.tally.liveIndexes) live indexes in a snapshot at \(metadata.index)")
        }
    }

    /// Refuses a snapshot that is another one than its name and its directory say.
    func check(cluster: ClusterID, index: LogIndex, term: Term) throws(StorageError) {
        guard metadata.cluster == cluster || cluster == .none, metadata.index == index, metadata.term == term else {
            throw directory.damaged(
                name, at: UInt64(SnapshotHeader.byteCount), kind: .fileHeader,
                "it is a snapshot of cluster \(metadata.cluster) at \(metadata.index) of term \(metadata.term) instead "
                    + "of one of cluster \(cluster) at \(index) of term \(term)")
        }
    }

    private static func header(
        _ name: String, in directory: SnapshotDirectory, _ bytes: inout SnapshotBytes
    ) async throws(StorageError) -> (header: SnapshotHeader, seed: UInt32) {
        let start = try await bytes.read(at: 0, count: SnapshotHeader.byteCount, ahead: AlignedMemory.alignment)
        guard let found = start.withUnsafeReadableBytes({ SnapshotHeader.load(from: $0) }) else {
            throw directory.damaged(name, at: 0, kind: .fileHeader, "its magic or the header's checksum is wrong")
        }
        guard found.header.major == SnapshotFormat.major else {
            throw StorageError(
                .version,
                "\(directory.path(of: name)) has format \(found.header.major), this program reads "
                    + "\(SnapshotFormat.major) only")
        }
        return found
    }

    private static func metadata(
        _ header: SnapshotHeader, _ name: String, in directory: SnapshotDirectory, _ bytes: inout SnapshotBytes
    ) async throws(StorageError) -> SnapshotMetadata {
        let start = UInt64(SnapshotHeader.byteCount)
        func damaged(_ reason: String) -> StorageError {
            directory.damaged(
                name, at: start, length: UInt64(header.metadataLength), kind: .fileHeader, "its metadata: \(reason)")
        }
        let encoded = try await bytes.read(
            at: start, count: Int(header.metadataLength), ahead: AlignedMemory.alignment)
        guard encoded.withUnsafeReadableBytes({ Checksum.crc32c($0) }) == header.metadataChecksum else {
            throw damaged("the checksum does not match")
        }
        var reader = WireReader(encoded)
        do { return try SnapshotMetadata(from: &reader) } catch { throw damaged(error.message) }
    }

    private static func end(
        _ seed: UInt32, _ name: String, in directory: SnapshotDirectory, _ bytes: inout SnapshotBytes
    ) async throws(StorageError) -> SnapshotEnd {
        let offset = bytes.size - UInt64(SnapshotEnd.byteCount)
        let encoded = try await bytes.read(at: offset, count: SnapshotEnd.byteCount, ahead: AlignedMemory.alignment)
        guard let end = SnapshotEnd.load(from: encoded, seed: seed, offset: offset), end.length == bytes.size else {
            throw directory.damaged(
                name, at: offset, length: UInt64(SnapshotEnd.byteCount), kind: .snapshotEnd,
                "it has no end block, so it is not whole")
        }
        return end
    }
}
