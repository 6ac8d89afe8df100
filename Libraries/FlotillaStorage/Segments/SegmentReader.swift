import FlotillaWire
import NIOCore
import Synchronization

/// Why entries of a segment can't be had.
package enum SegmentReadError: Error, Equatable {
    /// Their bytes are not what was written. What the entry is may still be known.
    case damaged(Damage, EntryIdentity?)
    /// The file system refused. What the entry is may still be known.
    case failed(StorageError, EntryIdentity?)
    /// There is no such file. That is damage if the server's set still has the segment; else it was removed meanwhile.
    case removed(Segment)
}

/// What a segment holds at an index.
package enum SegmentEntry: Equatable {
    /// One verified encoded entry.
    case entry(ByteBuffer)
    /// The segment does not hold it.
    case missing
    /// It can't be had.
    case unreadable(SegmentReadError)
}

/// Reads entries of all servers' segments, each verified: its header, its body, and that it is the one that was
/// written there. May be used by several jobs at once.
package final class SegmentReader: Sendable {
    /// How long the pieces of memory are that are kept for the next reads, and how many.
    private static let keptBytes = 1 << 20
    private static let keptPieces = 4
    private static let leastBytes = 64 << 10

    private let servers: String
    private let files: AsyncFiles
    private let cache: SegmentCache
    private let memory = Mutex<[AlignedMemory]>([])

    /// - Parameters:
    ///   - servers: the directory that holds the servers' directories.
    ///   - capacity: how many files are kept open.
    package init(servers: String, files: AsyncFiles, capacity: Int = 64) {
        self.servers = servers
        self.files = files
        cache = SegmentCache(capacity: capacity, files: files)
    }

    /// How many files are open.
    package var openFiles: Int { cache.count }

    /// Reads consecutive entries.
    ///
    /// - Parameters:
    ///   - slices: what to read, of dense segments, in the order of the log.
    ///   - maxBytes: where to stop; the first entry is read whatever its length.
    /// - Returns: entries from the first index on, each region directly behind the one before. There may be fewer than
    ///   asked for, where the limit or something that can't be read ends them, but at least one unless `slices` is
    ///   empty.
    /// - Throws: why the first entry can't be had.
    package func entries(
        _ slices: [SegmentSlice], maxBytes: Int
    ) async throws(SegmentReadError) -> [MemoryTable.Region] {
        var regions: [MemoryTable.Region] = []
        var rest = maxBytes
        for slice in slices {
            do throws(SegmentReadError) {
                guard let region = try await read(slice, limit: rest, isFirst: regions.isEmpty) else { break }
                regions.append(region)
                rest -= region.bytes.readableBytes
                if region.last < slice.range.upperBound { break }
            } catch {
                guard regions.isEmpty else { break }
                throw error
            }
        }
        return regions
    }

    /// Reads one entry of a segment.
    package func entry(at index: LogIndex, in segment: Segment) async -> SegmentEntry {
        do throws(SegmentReadError) {
            let found = try await with(segment) { (file) async throws(SegmentReadError) -> ByteBuffer? in
                guard let position = file.index.position(of: index) else { return nil }
                return try await self.read(position, through: position, of: file).bytes
            }
            return found.map { .entry($0) } ?? .missing
        } catch {
            return .unreadable(error)
        }
    }

    /// Closes segments that were removed. Reads that are under way are not disturbed.
    package func forget(_ uid: ServerUID, numbers: [UInt64]) async {
        await cache.forget(uid) { numbers.contains($0) }
    }

    /// Closes all segments of a server. Reads that are under way are not disturbed.
    package func forget(_ uid: ServerUID) async { await cache.forget(uid) { _ in true } }
}

extension SegmentReader {
    /// Reads the beginning of a slice; `nil` when its first entry is beyond the limit and not the first of all.
    private func read(
        _ slice: SegmentSlice, limit: Int, isFirst: Bool
    ) async throws(SegmentReadError) -> MemoryTable.Region? {
        precondition(slice.segment.isDense, "consecutive entries of a sparse segment")
        return try await with(slice.segment) { (file) async throws(SegmentReadError) -> MemoryTable.Region? in
            let index = file.index
            guard let first = index.position(of: slice.range.lowerBound),
                let last = index.position(of: slice.range.upperBound)
            else { return nil }
            guard isFirst || index.end(of: first) - index.record(at: first).offset <= limit else { return nil }
            let end = index.furthest(from: first, through: last, limit: limit)
            let read = try await self.read(first, through: end, of: file)
            return MemoryTable.Region(first: slice.range.lowerBound, count: read.count, bytes: read.bytes)
        }
    }

    /// Reads entries by position with one operation, and verifies them one by one until one is not right.
    ///
    /// - Throws: what is wrong with the first.
    private func read(
        _ first: Int, through last: Int, of segment: SegmentFile
    ) async throws(SegmentReadError) -> (bytes: ByteBuffer, count: Int) {
        let start = segment.index.record(at: first).offset
        let memory = takeMemory(segment.index.end(of: last) - start)
        defer { giveBack(memory) }
        let got: Int
        do throws(FileSystemError) {
            got = try await segment.read(first, through: last, into: memory, files: files)
        } catch {
            throw .failed(StorageError(error), segment.identity(at: first))
        }
        let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])
        for position in first...last {
            guard let damage = segment.damage(at: position, in: bytes, from: start) else { continue }
            guard position > first else { throw .damaged(damage, segment.identity(at: first)) }
            let whole = UnsafeRawBufferPointer(rebasing: bytes[..<(segment.index.record(at: position).offset - start)])
            return (ByteBuffer(bytes: whole), position - first)
        }
        return (ByteBuffer(bytes: bytes), last - first + 1)
    }

    private func with<Value: Sendable>(
        _ segment: Segment, _ body: (SegmentFile) async throws(SegmentReadError) -> Value
    ) async throws(SegmentReadError) -> Value {
        let file: SegmentFile
        if let open = cache.take(segment) {
            file = open
        } else {
            file = await cache.add(try await open(segment), for: segment)
        }
        do throws(SegmentReadError) {
            let value = try await body(file)
            await cache.release(file)
            return value
        } catch {
            await cache.release(file)
            throw error
        }
    }

    private func open(_ segment: Segment) async throws(SegmentReadError) -> SegmentFile {
        let directory = SegmentFormat.directory(of: segment.uid, in: servers)
        let segmentFiles = SegmentFiles(directory: directory, uid: segment.uid, files: files)
        let opened: SegmentFile
        do throws(StorageError) { opened = try await segmentFiles.openWhole(segment) } catch {
            guard let damage = error.damages.first else { throw .failed(error, nil) }
            throw damage.kind == .fileMissing ? .removed(segment) : .damaged(damage, nil)
        }
        return opened
    }

    /// Memory for a read; it is not zeroed again.
    private func takeMemory(_ count: Int) -> AlignedMemory {
        let kept = memory.withLock { pieces -> AlignedMemory? in
            pieces.firstIndex { $0.capacity >= count }.map { pieces.remove(at: $0) }
        }
        return kept ?? AlignedMemory(capacity: max(count, Self.leastBytes))
    }

    private func giveBack(_ piece: AlignedMemory) {
        guard piece.capacity <= Self.keptBytes else { return }
        memory.withLock { pieces in
            if pieces.count < Self.keptPieces { pieces.append(piece) }
        }
    }
}
