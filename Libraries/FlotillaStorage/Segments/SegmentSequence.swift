import FlotillaWire
import NIOCore

/// Writes entries into as many new segments of one server as their limits demand.
///
/// All files are written and synced under temporary names; only `finish` gives them their own. So whatever fails, or
/// if the process ends before, none of them is there.
package struct SegmentSequence: Sendable {
    /// Why the segments are written.
    var kind: Segment.Kind
    /// What a compacted segment hides.
    var hiding = Segment.Hiding.nothing
    private let files: SegmentFiles
    private let limits: SegmentLimits
    private let salt: UInt64
    private let chunk: AlignedMemory
    private var nextNumber: UInt64
    private var current: SegmentFileWriter?
    private var finished: [Segment] = []
    private var last = LogIndex.zero
    private var isOver = false

    /// How much memory a sequence copies through.
    static let chunkBytes = AsyncFiles.burstBytes

    init(
        _ files: SegmentFiles, kind: Segment.Kind, limits: SegmentLimits, from number: UInt64, salt: UInt64,
        chunkBytes: Int = SegmentSequence.chunkBytes
    ) {
        precondition(number > 0, "segments are numbered from 1 on")
        self.files = files
        self.kind = kind
        self.limits = limits
        self.salt = salt
        nextNumber = number
        chunk = AlignedMemory(capacity: min(Self.chunkBytes, chunkBytes))
    }

    /// How many entries it was given.
    package var count: Int { finished.reduce(current?.index.count ?? 0) { $0 + $1.count } }

    /// How many bytes these take.
    var bytes: Int { finished.reduce(current?.index.entryBytes ?? 0) { $0 + $1.entryBytes } }

    /// Adds verified entries that stand back to back, in ascending order of their indexes and behind all that it was
    /// given before; consecutive ones unless it writes sparse segments.
    ///
    /// - Throws: `corrupt` when they do not stand so, else what the file system says. The sequence is over then, and
    ///   leaves no file.
    package mutating func append(_ entries: ByteBuffer) async throws(StorageError) {
        precondition(!isOver, "entries for a sequence that is over")
        do throws(StorageError) { try await add(entries) } catch {
            await discard()
            throw error
        }
    }

    /// Finishes the last file, gives all of them their names, and makes these durable.
    ///
    /// - Returns: the segments, none if it was given no entry.
    /// - Throws: what the file system says; then all files are removed as far as that can be done. Their numbers must
    ///   not be used again.
    package mutating func finish() async throws(StorageError) -> [Segment] {
        precondition(!isOver, "the end of a sequence that is over")
        do throws(StorageError) {
            if current != nil { try await finishFile() }
            try await name()
        } catch {
            await discard()
            throw error
        }
        isOver = true
        return finished
    }

    /// Gives up: removes what was written, as far as that can be done.
    package mutating func discard() async {
        isOver = true
        await current?.abandon()
        current = nil
        for segment in finished {
            // Whatever made the sequence give up is what is told; here only space is freed.
            _ = try? await files.files.removeIfThere(files.temporaryPath(segment.number))
            _ = try? await files.files.removeIfThere(files.path(segment.number))
        }
        finished = []
    }
}

extension SegmentSequence {
    private mutating func add(_ entries: ByteBuffer) async throws(StorageError) {
        var offset = 0
        while offset < entries.readableBytes {
            if current == nil { try await beginFile(bytes: entries.readableBytes - offset) }
            let end = try note(entries, from: offset)
            if end == offset {
                try await finishFile()
            } else {
                try await put(entries, offset..<end)
                offset = end
            }
        }
    }

    /// Notes the entries from an offset on that fit into the current file.
    ///
    /// - Returns: where the first stands that does not.
    private mutating func note(_ entries: ByteBuffer, from start: Int) throws(StorageError) -> Int {
        try entries.withUnsafeReadableBytes { (bytes) throws(StorageError) -> Int in
            var offset = start
            while offset < bytes.count {
                let entry = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                let length = try follow(entry)
                guard fits(length) else { break }
                try note(UnsafeRawBufferPointer(rebasing: entry[..<length]))
                offset += length
            }
            return offset
        }
    }

    /// Whether the current file takes one more entry; an empty one takes any.
    private func fits(_ length: Int) -> Bool {
        guard let count = current?.index.count, let bytes = current?.index.entryBytes, count > 0 else { return true }
        return count < limits.maxEntries && bytes + length <= limits.maxBytes
    }

    /// Checks that an entry may come next; gives its length.
    private func follow(_ bytes: UnsafeRawBufferPointer) throws(StorageError) -> Int {
        guard bytes.count >= EntryHeader.byteCount, let base = bytes.baseAddress,
            EntryRun.length(at: base) <= bytes.count, EntryRun.length(at: base) <= SegmentLimits.format.maxBytes
        else { throw StorageError(.corrupt, "entries for \(files.directory) end in the middle of one") }
        let index = EntryRun.index(at: base)
        let follows = kind == .flushed && last > .zero ? index == last.rawValue + 1 : index > last.rawValue
        guard follows, index <= Limits.position else {
            throw StorageError(.corrupt, "entry \(index) behind \(last) of \(files.directory)")
        }
        return EntryRun.length(at: base)
    }

    private mutating func note(_ entry: UnsafeRawBufferPointer) throws(StorageError) {
        guard let base = entry.baseAddress else { return }
        last = LogIndex(EntryRun.index(at: base))
        guard current?.index.add(header: base) == true else { return }
        do throws(WireError) {
            try current?.index.addConfiguration(UnsafeRawBufferPointer(rebasing: entry[EntryHeader.byteCount...]))
        } catch {
            throw StorageError(.corrupt, "entry \(last) of \(files.directory) is no configuration: \(error)")
        }
    }

    private mutating func put(_ entries: ByteBuffer, _ range: Range<Int>) async throws(StorageError) {
        do throws(FileSystemError) {
            try await current?.put(entries, from: range.lowerBound, count: range.count)
        } catch { throw StorageError(error) }
    }

    private mutating func beginFile(bytes: Int) async throws(StorageError) {
        let entries = min(limits.maxEntries, bytes / EntryHeader.byteCount, 1 << 15)
        do throws(FileSystemError) {
            current = try await SegmentFileWriter(
                number: nextNumber, temporary: files.temporaryPath(nextNumber), entries: entries, chunk: chunk,
                files: files.files)
            nextNumber += 1
        } catch { throw StorageError(error) }
    }

    private mutating func finishFile() async throws(StorageError) {
        let hiding = hidingOfNext
        do throws(FileSystemError) {
            guard let segment = try await current?.finish(uid: files.uid, kind: kind, salt: salt, hiding: hiding)
            else { return }
            finished.append(segment)
            current = nil
        } catch { throw StorageError(error) }
    }

    /// What the current file hides.
    private var hidingOfNext: Segment.Hiding {
        switch kind {
        case .flushed: Segment.Hiding(from: current?.index.first ?? Segment.Hiding.never)
        case .compacted: hiding
        // The first hides everything for all of them: the others would hide the first.
        case .installed(let index, _): finished.isEmpty ? Segment.Hiding(through: index) : .nothing
        }
    }

    /// A crash between two of these leaves some of the files: their entries are in the write-ahead log still, or their
    /// snapshot is not there.
    private func name() async throws(StorageError) {
        guard !finished.isEmpty else { return }
        do throws(FileSystemError) {
            for segment in finished {
                try await files.files.perform(
                    .rename(from: files.temporaryPath(segment.number), to: files.path(segment.number)))
            }
            try await files.files.perform(.syncDirectory(path: files.directory))
        } catch { throw StorageError(error) }
    }
}
