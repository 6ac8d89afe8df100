import FlotillaWire
import NIOCore

/// What is to be made good of a segment.
package struct RepairOrder: Sendable {
    /// The segment, and what it shows. All of that is committed.
    package var slice: SegmentSlice
    /// The snapshot that says what is live; `nil` when there is none.
    package var snapshot: SnapshotFile?
    /// Of the entries through here only the live ones are needed; it is at or before the snapshot's last.
    package var through: LogIndex
    /// The number and the salt of the segment that takes the place of the damaged one.
    package var number: UInt64
    package var salt: UInt64

    package init(slice: SegmentSlice, snapshot: SnapshotFile?, through: LogIndex, number: UInt64, salt: UInt64) {
        self.slice = slice
        self.snapshot = snapshot
        self.through = through
        self.number = number
        self.salt = salt
    }
}

/// Makes a damaged segment good with entries that came from other servers: jobs for the background.
///
/// The new segment is a compacted one: it takes the place of the damaged one whole, at any step of a crash.
struct SegmentRepair {
    let files: SegmentFiles
    let reader: SegmentReader
    let order: RepairOrder
    /// What the snapshot's machine needs of the log.
    let live: LiveIndexes

    /// The entries that the segment must have.
    private var needed: [LogIndex] {
        let range = order.slice.range
        let dense = max(range.lowerBound, order.through.next)
        var needed = Array(live.within(range.lowerBound, through: min(range.upperBound, order.through)))
        var next = dense
        while next <= range.upperBound {
            needed.append(next)
            next = next.next
        }
        return needed
    }

    /// Finds out which entries are missing, by reading all of them.
    ///
    /// - Throws: what the file system says.
    func missing() async throws(StorageError) -> [LogIndex] {
        let needed = needed
        var missing: [LogIndex] = []
        for index in needed {
            switch await reader.entry(at: index, in: order.slice.segment) {
            case .entry: break
            case .missing: missing.append(index)
            case .unreadable(.failed(let error, _)): throw error
            case .unreadable(.removed), .unreadable(.damaged(_, nil)): return needed
            case .unreadable(.damaged): missing.append(index)
            }
        }
        return missing
    }

    /// Writes what can be read, and what has come, into a new segment, which is durable when this returns.
    ///
    /// - Parameter found: encoded entries, verified, ascending: all that were missing.
    /// - Returns: the segment; `nil` when none of the entries is needed any more.
    /// - Throws: what the file system says, and `corrupt` when something else can't be read by now. Nothing has changed
    ///   then.
    func write(_ found: ByteBuffer) async throws(StorageError) -> Segment? {
        let old = order.slice.segment
        var sequence = SegmentSequence(
            files, kind: .compacted(replaces: old.order...old.order), limits: .format, from: order.number,
            salt: order.salt)
        sequence.hiding = old.hiding
        var found = found
        do throws(StorageError) {
            for index in needed {
                guard let entry = try await entry(at: index, &found) else {
                    throw StorageError(.corrupt, "entry \(index) of \(old.uid) is missing still")
                }
                try await sequence.append(entry)
            }
        } catch {
            await sequence.discard()
            throw error
        }
        return try await sequence.finish().first
    }

    private func entry(at index: LogIndex, _ found: inout ByteBuffer) async throws(StorageError) -> ByteBuffer? {
        let header = found.withUnsafeReadableBytes { bytes in
            bytes.count >= EntryHeader.byteCount ? bytes.baseAddress.flatMap { EntryHeader.loadTrusted(from: $0) } : nil
        }
        if let header, header.index == index { return found.readSlice(length: header.entryLength) }
        switch await reader.entry(at: index, in: order.slice.segment) {
        case .entry(let entry): return entry
        case .missing: return nil
        case .unreadable(let error): throw StorageError(error)
        }
    }
}

extension SegmentSet {
    /// What a segment shows; `nil` for nothing, or if there is no such segment.
    package func slice(of number: UInt64) -> SegmentSlice? { shown.first { $0.segment.number == number } }
}
