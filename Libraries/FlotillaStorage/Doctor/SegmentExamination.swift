import FlotillaWire

/// Looks at one segment file, entry by entry.
struct SegmentExamination {
    /// How much is read by one operation, unless a single entry is longer.
    private static let readBytes = 1 << 20

    private let segmentFiles: SegmentFiles
    private let number: UInt64
    private let needs: [LogIndex]
    private var memory = AlignedMemory(capacity: 0)
    /// Damage that may go on with the next entry.
    private var pending: Damage?
    private var verified: UInt64 = 0
    /// What it should hold and does not.
    private(set) var missing: [LogIndex] = []

    /// - Parameter needs: entries that it should hold.
    init(_ segmentFiles: SegmentFiles, _ number: UInt64, needs: [LogIndex]) {
        self.segmentFiles = segmentFiles
        self.number = number
        self.needs = needs
    }

    private var files: AsyncFiles { segmentFiles.files }
    private var path: String { segmentFiles.path(number) }

    /// Reads all of it.
    mutating func run(_ log: inout FindingLog) async {
        log.count(bytes: (try? await files.size(path)) ?? 0)
        do throws(StorageError) {
            guard let (file, reader) = try await segmentFiles.open(number) else {
                log.problem(path, server: segmentFiles.uid, "the file is gone", advice: Advice.server)
                return
            }
            for damage in reader.damages { log.add(damage, advice: Advice.server) }
            if let header = reader.header, let index = reader.index {
                missing = needs.filter { index.position(of: $0) == nil }
                let segment = SegmentFile(path: path, file: file, header: header, index: index)
                await verify(segment, size: reader.size, &log)
            }
            // A file that was only read loses nothing.
            _ = try? await files.perform(.close(file))
        } catch {
            log.add(error, file: path, at: 8, server: segmentFiles.uid, advice: Advice.server)
        }
    }

    /// Verifies each entry by itself, then that the index says of all of them what they are.
    private mutating func verify(_ segment: SegmentFile, size: UInt64, _ log: inout FindingLog) async {
        var builder = SegmentIndexBuilder(entries: segment.index.count)
        var position = 0
        while position < segment.index.count {
            let last = segment.index.furthest(
                from: position, through: segment.index.count - 1, limit: Self.readBytes)
            do throws(FileSystemError) {
                let bytes = try await read(position, through: last, of: segment, size: size)
                for place in position...last { verify(place, of: segment, in: bytes, from: position, &builder, &log) }
            } catch {
                tellPending(&log)
                let entries = segment.index.record(at: position).index...segment.index.record(at: last).index
                log.problem(
                    path, at: offset(of: position, in: segment), server: segmentFiles.uid, entries: entries,
                    "the entries can't be read: \(error)", advice: Advice.fileSystem)
            }
            position = last + 1
        }
        tellPending(&log)
        log.count(entries: verified)
        guard builder.count == segment.index.count, !builder.isDescribed(by: segment) else { return }
        log.problem(
            path, at: segment.header.tailOffset, server: segmentFiles.uid,
            entries: segment.index.first...segment.index.last,
            "the index of the segment says something else than its entries do", advice: Advice.server)
    }

    private func offset(of position: Int, in segment: SegmentFile) -> UInt64 {
        UInt64(SegmentFormat.entriesOffset + segment.index.record(at: position).offset)
    }

    /// Reads entries by position; fewer bytes only where the file ends too early.
    private mutating func read(
        _ first: Int, through last: Int, of segment: SegmentFile, size: UInt64
    ) async throws(FileSystemError) -> UnsafeRawBufferPointer {
        let start = offset(of: first, in: segment)
        let wanted = segment.index.end(of: last) - segment.index.record(at: first).offset
        // A length that lies must not cost memory.
        let count = min(wanted, Int(clamping: size - min(size, start)))
        if memory.capacity < count { memory = AlignedMemory(capacity: count) }
        let got = try await files.read(segment.file, at: start, count: count, into: memory)
        return UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])
    }

    private mutating func verify(
        _ position: Int, of segment: SegmentFile, in bytes: UnsafeRawBufferPointer, from first: Int,
        _ builder: inout SegmentIndexBuilder, _ log: inout FindingLog
    ) {
        let base = segment.index.record(at: first).offset
        var damage = segment.damage(at: position, in: bytes, from: base)
        if damage == nil {
            let start = segment.index.record(at: position).offset - base
            let entry = UnsafeRawBufferPointer(rebasing: bytes[start..<start + segment.length(at: position)])
            if !builder.add(entry) { damage = segment.damage(.entryBody, at: position) }
        }
        guard let damage else {
            verified += 1
            return
        }
        if let joined = pending?.joined(with: damage) {
            pending = joined
        } else {
            tellPending(&log)
            pending = damage
        }
    }

    private mutating func tellPending(_ log: inout FindingLog) {
        if let pending { log.add(pending, advice: Advice.server) }
        pending = nil
    }
}

extension SegmentIndexBuilder {
    /// Adds an entry that was verified; `false` if it is a configuration that can't be read.
    fileprivate mutating func add(_ entry: UnsafeRawBufferPointer) -> Bool {
        guard let base = entry.baseAddress, add(header: base) else { return true }
        do throws(WireError) {
            try addConfiguration(UnsafeRawBufferPointer(rebasing: entry[EntryHeader.byteCount...]))
            return true
        } catch { return false }
    }

    /// Whether a segment's header and index say what was gathered.
    fileprivate func isDescribed(by segment: SegmentFile) -> Bool {
        segment.header.recordsChecksum == recordsChecksum && segment.index.termRuns == termRuns
            && segment.index.configurations == configurations && segment.index.lastTime == lastTime
    }
}

extension Damage {
    /// This and the next damage as one, if they are of one kind and directly follow each other.
    fileprivate func joined(with next: Damage) -> Damage? {
        guard kind == next.kind, file == next.file, offset + length == next.offset, let entries,
            let others = next.entries
        else { return nil }
        return Damage(
            file: file, offset: offset, length: length + next.length, kind: kind, server: server,
            entries: entries.lowerBound...others.upperBound)
    }
}
