import FlotillaWire

/// Reads header and tail of a segment file, and makes good from one what is damaged of the other.
struct SegmentFileReader {
    /// What is read by one operation where much is read.
    private static let chunkBytes = 1 << 20

    private let path: String
    private let uid: ServerUID
    let number: UInt64
    private let file: OpenFile
    /// The length of the file.
    let size: UInt64
    private let files: AsyncFiles
    private var memory = AlignedMemory(capacity: SegmentFormat.entriesOffset)
    /// The header, when one of its copies is right.
    private(set) var header: SegmentHeader?
    /// The tail, when it is right or could be made again.
    private(set) var index: SegmentIndex?
    /// What is damaged.
    private(set) var damages: [Damage] = []

    /// A reader of an open file of `size` bytes that should be a server's segment of a number.
    init(_ file: OpenFile, path: String, size: UInt64, uid: ServerUID, number: UInt64, files: AsyncFiles) {
        self.file = file
        self.path = path
        self.size = size
        self.uid = uid
        self.number = number
        self.files = files
    }

    /// The segment, when its header is right.
    var segment: Segment? { header.map { Segment($0, index) } }

    /// Reads.
    ///
    /// - Throws: what the file system says, and `version` for a format that this program does not know.
    mutating func read() async throws(StorageError) {
        guard let header = try await readHeader() else { return }
        guard header.uid == uid, header.number == number else {
            note(.fileHeader, at: 16)
            return
        }
        self.header = header
        try await readTail(header)
        guard self.header != nil, index == nil else { return }
        index = try await rebuilt(header)
        if index != nil {
            note(.mended, at: header.tailOffset, length: header.tailLength)
        } else if size < header.tailOffset {
            note(.fileLength, at: size, entries: header.first...header.last)
        } else {
            note(.segmentIndex, at: header.tailOffset, length: header.tailLength, entries: header.first...header.last)
        }
    }

    private mutating func readHeader() async throws(StorageError) -> SegmentHeader? {
        let got = try await load(SegmentFormat.entriesOffset, at: 0)
        if let header = try SegmentHeader.load(from: bytes(got), at: 0, path: path) {
            let rest = UnsafeRawBufferPointer(rebasing: bytes(got)[SegmentHeader.byteCount...])
            if !rest.isZero { note(.padding, at: UInt64(SegmentHeader.byteCount)) }
            return header
        }
        let length = UInt64(SegmentHeader.byteCount)
        if size >= UInt64(SegmentFormat.entriesOffset) + length {
            let got = try await load(SegmentHeader.byteCount, at: size - length)
            if let copy = try SegmentHeader.load(from: bytes(got), at: 0, path: path), copy.fileLength == size {
                note(.mended, at: 0, length: length)
                return copy
            }
        }
        note(.fileHeader, at: 0, length: length)
        return nil
    }

    /// Reads the tail and the copy of the header. If the copy is right but another one, neither can be believed.
    private mutating func readTail(_ header: SegmentHeader) async throws(StorageError) {
        guard size > header.tailOffset else { return }
        let wanted = min(header.tailLength + UInt64(SegmentHeader.byteCount), size - header.tailOffset)
        let got = try await load(Int(wanted), at: header.tailOffset)
        if size > header.fileLength { note(.padding, at: header.fileLength, length: size - header.fileLength) }
        if let copy = try SegmentHeader.load(from: bytes(got), at: Int(header.tailLength), path: path) {
            guard copy == header else {
                note(.fileHeader, at: header.copyOffset)
                self.header = nil
                return
            }
        } else {
            note(.mended, at: header.copyOffset, length: UInt64(SegmentHeader.byteCount))
        }
        guard got >= Int(header.tailLength) else { return }
        index = SegmentIndex(UnsafeRawBufferPointer(rebasing: bytes(got)[..<Int(header.tailLength)]), of: header)
    }

    /// Makes the index again from the entries; `nil` when not all of their headers are those that were written.
    private mutating func rebuilt(_ header: SegmentHeader) async throws(StorageError) -> SegmentIndex? {
        guard size >= header.tailOffset else { return nil }
        var builder = SegmentIndexBuilder(entries: Int(header.count))
        var window = 0..<0
        for _ in 0..<header.count {
            let start = builder.entryBytes
            let rest = Int(header.entryBytes) - start
            guard rest >= EntryHeader.byteCount else { return nil }
            if start + EntryHeader.byteCount > window.upperBound {
                window = try await view(start, count: min(rest, Self.chunkBytes))
            }
            guard let found = entryHeader(at: start, in: window), found.entryLength <= rest,
                builder.count == 0 || found.index > builder.last
            else { return nil }
            if found.kind == .configuration, start + found.entryLength > window.upperBound {
                window = try await view(start, count: found.entryLength)
            }
            guard add(found, at: start, in: window, to: &builder) else { return nil }
        }
        guard builder.entryBytes == Int(header.entryBytes), builder.recordsChecksum == header.recordsChecksum else {
            return nil
        }
        return SegmentIndex(builder)
    }

    private func add(
        _ header: EntryHeader, at start: Int, in window: Range<Int>, to builder: inout SegmentIndexBuilder
    ) -> Bool {
        let place = start - window.lowerBound
        guard builder.add(header: memory.base + place) else { return true }
        guard start + header.entryLength <= window.upperBound else { return false }
        let entry = UnsafeRawBufferPointer(rebasing: memory.bytes[place..<place + header.entryLength])
        guard (try? EntryHeader.verify(entry)) != nil else { return false }
        do throws(WireError) {
            try builder.addConfiguration(UnsafeRawBufferPointer(rebasing: entry[EntryHeader.byteCount...]))
            return true
        } catch { return false }
    }

    private func entryHeader(at start: Int, in window: Range<Int>) -> EntryHeader? {
        guard window.contains(start), window.upperBound - start >= EntryHeader.byteCount else { return nil }
        let place = start - window.lowerBound
        return try? EntryHeader.load(from: UnsafeRawBufferPointer(rebasing: memory.bytes[place..<place + 40]))
    }

    /// Reads bytes behind the first entry; gives which there are.
    private mutating func view(_ start: Int, count: Int) async throws(StorageError) -> Range<Int> {
        start..<start + (try await load(count, at: UInt64(SegmentFormat.entriesOffset + start)))
    }

    private mutating func load(_ count: Int, at offset: UInt64) async throws(StorageError) -> Int {
        if memory.capacity < count { memory = AlignedMemory(capacity: count) }
        do throws(FileSystemError) {
            return try await files.read(file, at: offset, count: count, into: memory)
        } catch { throw StorageError(error) }
    }

    private func bytes(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory.bytes[..<count])
    }

    private mutating func note(
        _ kind: Damage.Kind, at offset: UInt64, length: UInt64 = 0, entries: ClosedRange<LogIndex>? = nil
    ) {
        damages.append(
            Damage(file: path, offset: offset, length: length, kind: kind, server: uid, entries: entries))
    }
}
