import DequeModule
import FlotillaWire
import NIOCore

/// The entries of one server that are in memory, as the batches in which they came.
///
/// Entries are kept encoded and are handed out as slices that share storage. Large batches are kept as they are;
/// small ones, which would each cost an allocation of their own, are gathered into chunks of 64 KiB.
public final class MemoryTable {
    /// Consecutive entries that stand back to back.
    public struct Region: Sendable, Equatable {
        /// The index of the first.
        public var first: LogIndex
        /// How many there are.
        public var count: Int
        /// The encoded entries.
        public var bytes: ByteBuffer

        /// The index of the last.
        public var last: LogIndex { first + (count - 1) }
    }

    /// Batches below this size are gathered.
    static let looseBatchBytes = 8 << 10
    /// How large a chunk of gathered batches becomes; a power of two, since that is what `ByteBuffer` allocates.
    static let chunkBytes = 64 << 10

    var batches: Deque<Region> = []
    private var base: LogIndex
    /// How many batches at the end are small and not gathered yet, and their bytes.
    private var looseBatches = 0
    private var looseBytes = 0

    /// For batches in which single entries were looked for, by the index of their first entry: where every so many-th
    /// entry begins.
    var marks: [LogIndex: [UInt32]] = [:]

    /// The length of all encoded entries in bytes.
    public private(set) var byteCount = 0
    /// The index of the last entry, or what the table begins after when it holds none.
    public private(set) var lastIndex: LogIndex

    /// An empty table whose first entry will stand behind `base`.
    public init(after base: LogIndex = .zero) {
        self.base = base
        lastIndex = base
    }

    /// The index of the first entry, or of the one that may come first when the table holds none.
    public var firstIndex: LogIndex { base.next }

    /// Whether it holds no entry.
    public var isEmpty: Bool { lastIndex == base }

    /// Whether it holds the entry at an index.
    public func contains(_ index: LogIndex) -> Bool { index > base && index <= lastIndex }

    /// Adds `count` verified entries that stand back to back in `bytes` and begin at `first`, which must be the index
    /// behind the last.
    public func append(_ bytes: ByteBuffer, first: LogIndex, count: Int) {
        precondition(first == lastIndex.next, "entries that don't follow the log")
        precondition(count > 0 && bytes.readableBytes >= count * EntryHeader.byteCount, "entries without bytes")
        let isLoose = bytes.readableBytes < Self.looseBatchBytes
        if !isLoose || looseBytes + bytes.readableBytes > Self.chunkBytes { gather() }
        batches.append(Region(first: first, count: count, bytes: isLoose ? bytes : Self.compact(bytes)))
        if isLoose {
            looseBatches += 1
            looseBytes += bytes.readableBytes
        }
        byteCount += bytes.readableBytes
        lastIndex = first + (count - 1)
    }

    /// Drops all entries from an index on, which must not lie before the table's first.
    public func truncate(from index: LogIndex) {
        precondition(index > base, "a truncation of what is not in the table")
        guard index <= lastIndex else { return }
        while let last = batches.last, last.first >= index { drop(batches.removeLast()) }
        if let last = batches.last, last.last >= index {
            let kept = prefix(of: batches.removeLast(), through: index.previous)
            drop(last)
            byteCount += kept.bytes.readableBytes
            batches.append(kept)
        }
        lastIndex = index.previous
        // What is small and left is no longer worth gathering.
        looseBatches = 0
        looseBytes = 0
    }

    /// Lets go of batches that lie wholly at or before an index. Entries behind it always stay, and some before it
    /// may.
    public func release(through index: LogIndex) {
        while let first = batches.first, first.last <= index {
            drop(batches.removeFirst())
            base = first.last
        }
        looseBatches = min(looseBatches, batches.count)
        looseBytes = batches.suffix(looseBatches).reduce(0) { $0 + $1.bytes.readableBytes }
    }

    /// Drops everything; the next entry will stand behind `base`.
    public func reset(after base: LogIndex) {
        batches.removeAll()
        marks.removeAll()
        self.base = base
        lastIndex = base
        byteCount = 0
        looseBatches = 0
        looseBytes = 0
    }

    private func drop(_ region: Region) {
        byteCount -= region.bytes.readableBytes
        if !marks.isEmpty { marks[region.first] = nil }
    }

    private func prefix(of region: Region, through index: LogIndex) -> Region {
        let count = index - region.first + 1
        let length = region.bytes.withUnsafeReadableBytes { EntryRun.byteCount(of: count, in: $0) }
        return Region(first: region.first, count: count, bytes: region.slice(0, length))
    }

    /// Makes one chunk of the small batches at the end.
    private func gather() {
        defer {
            looseBatches = 0
            looseBytes = 0
        }
        guard looseBatches > 1 else { return }
        // By index: a slice of the deque would hold on to it, and the change below would copy it whole.
        let start = batches.count - looseBatches
        let first = batches[start].first
        var chunk = ByteBufferAllocator().buffer(capacity: looseBytes)
        var count = 0
        for place in start..<batches.count {
            chunk.writeImmutableBuffer(batches[place].bytes)
            count += batches[place].count
        }
        batches.removeLast(looseBatches)
        batches.append(Region(first: first, count: count, bytes: chunk))
    }

    /// The same bytes in storage of their own when they hold on to much more than they need, as a slice of a network
    /// buffer does.
    private static func compact(_ bytes: ByteBuffer) -> ByteBuffer {
        guard bytes.storageCapacity > 2 * bytes.readableBytes else { return bytes }
        var own = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        own.writeImmutableBuffer(bytes)
        return own
    }
}

extension MemoryTable.Region {
    /// `length` of its bytes from `offset` on, sharing storage.
    func slice(_ offset: Int, _ length: Int) -> ByteBuffer {
        guard let slice = bytes.getSlice(at: bytes.readerIndex + offset, length: length) else {
            preconditionFailure("a slice past the end of a batch")
        }
        return slice
    }

    /// How many bytes stand before the entry at an index, which may be the one behind the last.
    func offset(of index: LogIndex) -> Int {
        if index == first { return 0 }
        if index - first == count { return bytes.readableBytes }
        return bytes.withUnsafeReadableBytes { EntryRun.byteCount(of: index - first, in: $0) }
    }
}
