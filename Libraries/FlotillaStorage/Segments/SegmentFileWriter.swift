import FlotillaWire
import NIOCore

/// Writes one segment file under a temporary name.
///
/// Everything goes through one piece of memory, in order; the header comes last, when all that it says is known.
struct SegmentFileWriter: Sendable {
    let number: UInt64
    /// The name under which it is written.
    let temporary: String
    /// What the tail will say; entries are added here before their bytes are put.
    var index: SegmentIndexBuilder
    private let file: OpenFile
    private let files: AsyncFiles
    private let chunk: AlignedMemory
    private var isOpen = true
    private var filled = 0
    private var written = UInt64(SegmentFormat.entriesOffset)

    /// Makes the file.
    ///
    /// - Parameters:
    ///   - entries: about how many entries it will hold.
    ///   - chunk: memory that nobody else uses until the file is finished or closed.
    init(
        number: UInt64, temporary: String, entries: Int, chunk: AlignedMemory, files: AsyncFiles
    ) async throws(FileSystemError) {
        self.number = number
        self.temporary = temporary
        self.files = files
        self.chunk = chunk
        index = SegmentIndexBuilder(entries: entries)
        try await files.removeIfThere(temporary)
        file = try await files.open(temporary, [.write, .createNew])
    }

    /// Appends `count` bytes of a buffer from `offset` on, counted from its reader index.
    mutating func put(_ bytes: ByteBuffer, from offset: Int, count: Int) async throws(FileSystemError) {
        var done = 0
        while done < count {
            let part = min(count - done, chunk.capacity - filled)
            bytes.withUnsafeReadableBytes { bytes in
                UnsafeMutableRawBufferPointer(start: chunk.base + filled, count: part)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset + done..<offset + done + part]))
            }
            filled += part
            done += part
            if filled == chunk.capacity { try await flush() }
        }
    }

    private mutating func flush() async throws(FileSystemError) {
        guard filled > 0 else { return }
        try await files.perform(.write(file, at: written, count: filled, from: chunk))
        try await files.writeOut(file, at: written, count: filled)
        written += UInt64(filled)
        filled = 0
    }

    /// Writes tail and header, and makes the file durable, still under its temporary name.
    mutating func finish(
        uid: ServerUID, kind: Segment.Kind, salt: UInt64, hiding: Segment.Hiding
    ) async throws(FileSystemError) -> Segment {
        var header = SegmentHeader(
            uid: uid, number: number, kind: kind, salt: salt, first: index.first, last: index.last,
            count: UInt32(index.count), entryBytes: UInt32(index.entryBytes), tailLength: 0, hiding: hiding,
            recordsChecksum: index.recordsChecksum)
        let tail = index.tail(seed: header.seed)
        header.tailLength = UInt64(tail.readableBytes)
        try await put(tail, from: 0, count: tail.readableBytes)
        let copy = ByteBuffer(bytes: Self.encoded(header))
        try await put(copy, from: 0, count: copy.readableBytes)
        try await flush()
        let block = UnsafeMutableRawBufferPointer(start: chunk.base, count: SegmentFormat.entriesOffset)
        block.initializeMemory(as: UInt8.self, repeating: 0)
        header.store(to: chunk.base)
        try await files.perform(.write(file, at: 0, count: SegmentFormat.entriesOffset, from: chunk))
        try await files.perform(.syncAll(file))
        isOpen = false
        try await files.perform(.close(file))
        return Segment(header, SegmentIndex(index))
    }

    /// Gives up: closes the file and removes it, as far as that can be done.
    func abandon() async {
        // Whatever made the writer give up is what is told; here only space is freed.
        if isOpen { _ = try? await files.perform(.close(file)) }
        _ = try? await files.removeIfThere(temporary)
    }

    private static func encoded(_ header: SegmentHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: SegmentHeader.byteCount)
        bytes.withUnsafeMutableBytes { bytes in if let base = bytes.baseAddress { header.store(to: base) } }
        return bytes
    }
}
