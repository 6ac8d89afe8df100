import CFlotilla
import FlotillaWire
import NIOCore

/// Writes the bytes of a new snapshot file one after the other, gathered into larger transfers.
struct SnapshotSink {
    private let file: OpenFile
    private let files: AsyncFiles
    private let memory = AlignedMemory(capacity: AsyncFiles.burstBytes)
    private let seed: UInt32
    private var written: UInt64 = 0
    private var filled = 0
    private var tally = SnapshotTally()
    /// When the stretch of work began that the next rest is for.
    private var began = flotilla_monotonic_nanoseconds()

    /// Begins a file that is open and empty with its header and metadata.
    init(
        _ metadata: SnapshotMetadata, salt: UInt64, into file: OpenFile, _ files: AsyncFiles
    ) async throws(StorageError) {
        var encoded = ByteBuffer()
        metadata.encode(into: &encoded)
        let header = SnapshotHeader(metadata: encoded, salt: salt).encoded()
        self.file = file
        self.files = files
        seed = header.seed
        try await append(header.bytes)
        try await append(encoded)
    }

    /// How many bytes the file has so far.
    private var offset: UInt64 { written + UInt64(filled) }

    /// Adds a block. The kinds must come in their order, and a payload must not be longer than a piece may be.
    ///
    /// - Parameter liveIndexes: how many there are in the payload.
    mutating func appendBlock(
        _ kind: SnapshotBlockKind, _ payload: ByteBuffer, liveIndexes: Int = 0
    ) async throws(StorageError) {
        let added = UInt64(SnapshotBlock.byteCount + payload.readableBytes + SnapshotEnd.byteCount)
        guard offset + added <= SnapshotFormat.fileBytesMax else {
            throw StorageError(.tooLarge, "a snapshot of more than \(SnapshotFormat.fileBytesMax) bytes")
        }
        let head = SnapshotBlock(kind, payload: payload).encoded(seed: seed, offset: offset)
        tally.add(kind, checksum: head.checksum)
        tally.liveIndexes += UInt64(liveIndexes)
        try await append(head.bytes)
        try await append(payload)
    }

    /// Adds the end block and makes the file durable.
    ///
    /// - Returns: the length of the file.
    mutating func finish() async throws(StorageError) -> UInt64 {
        let length = offset + UInt64(SnapshotEnd.byteCount)
        try await append(SnapshotEnd(tally: tally, length: length).encoded(seed: seed, offset: offset))
        try await flush()
        try await asStorageError { () async throws(FileSystemError) in try await files.perform(.syncAll(file)) }
        return length
    }

    private mutating func append(_ bytes: ByteBuffer) async throws(StorageError) {
        var rest = bytes
        while rest.readableBytes > 0 {
            let room = memory.capacity - filled
            if let part = rest.readSlice(length: min(room, rest.readableBytes)) {
                memory.store(part, at: filled)
                filled += part.readableBytes
            }
            if filled == memory.capacity { try await flush() }
        }
    }

    private mutating func flush() async throws(StorageError) {
        guard filled > 0 else { return }
        let (count, offset) = (filled, written)
        try await asStorageError { () async throws(FileSystemError) in
            try await files.perform(.write(file, at: offset, count: count, from: memory))
            try await files.writeOut(file, at: offset, count: count)
        }
        written += UInt64(count)
        filled = 0
        await files.rest(from: &began)
    }
}

extension AlignedMemory {
    /// Copies all readable bytes of a buffer to an offset; the caller has checked that there is room.
    func store(_ bytes: ByteBuffer, at offset: Int = 0) {
        precondition(offset >= 0 && bytes.readableBytes <= capacity - offset, "more bytes than there is memory for")
        bytes.withUnsafeReadableBytes { source in
            guard let address = source.baseAddress else { return }
            (base + offset).copyMemory(from: address, byteCount: source.count)
        }
    }
}
