import DequeModule
import FlotillaWire
import NIOCore

extension MemoryTable {
    /// How far entries from an index on reach within a number of bytes; at least one entry, whatever its length.
    ///
    /// Whole batches are taken at their known length; only where the range begins or ends inside a batch are entries
    /// walked one by one.
    public func extent(
        from: LogIndex, through: LogIndex, bytes limit: Int
    ) -> (through: LogIndex, bytes: Int) {
        precondition(from <= through && contains(from) && contains(through), "a range that is not in the table")
        var place = place(of: from)
        var used = 0
        var next = from
        while next <= through {
            let batch = batches[place]
            let start = batch.offset(of: next)
            if batch.last <= through, used + batch.bytes.readableBytes - start <= limit {
                used += batch.bytes.readableBytes - start
                next = batch.last.next
                place += 1
                continue
            }
            let wanted = min(batch.last, through) - next + 1
            let fit = batch.bytes.withUnsafeReadableBytes { bytes in
                EntryRun.prefix(
                    of: wanted, in: UnsafeRawBufferPointer(rebasing: bytes[start...]), limit: limit - used)
            }
            used += fit.bytes
            next = next + fit.count
            if fit.count < wanted { break }
            place += 1
        }
        guard next == from else { return (next.previous, used) }
        return (from, regions(from: from, through: from).reduce(0) { $0 + $1.bytes.readableBytes })
    }

    /// The encoded entries of a range, as slices that share storage with the table.
    public func slices(from: LogIndex, through: LogIndex) -> [ByteBuffer] {
        regions(from: from, through: through).map(\.bytes)
    }

    /// The entries of a range as contiguous regions, each knowing its indexes; empty for an empty range.
    public func regions(from: LogIndex, through: LogIndex) -> [Region] {
        guard from <= through else { return [] }
        precondition(contains(from) && contains(through), "a range that is not in the table")
        var regions: [Region] = []
        var place = place(of: from)
        var next = from
        while next <= through {
            let batch = batches[place]
            let last = min(batch.last, through)
            let start = batch.offset(of: next)
            let end = batch.offset(of: last.next)
            regions.append(Region(first: next, count: last - next + 1, bytes: batch.slice(start, end - start)))
            next = last.next
            place += 1
        }
        return regions
    }

    /// Where the batch stands that holds an index. The tail is tried first, since that is what is asked for most.
    func place(of index: LogIndex) -> Int {
        if let last = batches.last, last.first <= index { return batches.count - 1 }
        var low = 0
        var high = batches.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if batches[middle].first <= index { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

extension MemoryTable.Region {
    /// How far entries from one of its indexes on reach within a number of bytes; at least one entry.
    package func extent(
        from first: LogIndex, through last: LogIndex, bytes limit: Int
    ) -> (through: LogIndex, bytes: Int) {
        let start = offset(of: first)
        let wanted = min(last, self.last) - first + 1
        let fit = bytes.withUnsafeReadableBytes { bytes -> (count: Int, bytes: Int) in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            let fit = EntryRun.prefix(of: wanted, in: rest, limit: limit)
            return fit.count > 0 ? fit : (1, EntryRun.byteCount(of: 1, in: rest))
        }
        return (first + (fit.count - 1), fit.bytes)
    }

    /// The encoded entries of a range of its indexes, sharing storage.
    package func slice(from first: LogIndex, through last: LogIndex) -> ByteBuffer {
        let start = offset(of: first)
        return slice(start, offset(of: last.next) - start)
    }
}
