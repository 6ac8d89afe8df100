import FlotillaWire
import NIOCore

/// Writes segments of one server: a job for the background.
package struct SegmentWriter: Sendable {
    private let files: SegmentFiles
    private let limits: SegmentLimits

    /// A writer of segments within limits that were found valid.
    package init(_ files: SegmentFiles, limits: SegmentLimits = SegmentLimits()) {
        self.files = files
        self.limits = limits
    }

    /// Writes consecutive entries from memory into dense segments.
    ///
    /// They are durable when this returns. A crash before may leave some of them: their entries must stay in the
    /// write-ahead log until this has returned.
    ///
    /// - Parameters:
    ///   - regions: verified entries, each region directly behind the one before.
    ///   - number: the number of the first segment; the others follow.
    ///   - salt: a random number.
    /// - Throws: what the file system says; no file is left then, as far as that can be done, and the numbers that
    ///   might have been used must not be used again.
    package func write(
        _ regions: [MemoryTable.Region], from number: UInt64, salt: UInt64
    ) async throws(StorageError) -> [Segment] {
        // Small servers are many, and their segments are small: no more memory than they need.
        let need = regions.reduce(0) { $0 + $1.bytes.readableBytes + $1.count * SegmentIndex.recordBytes }
        var sequence = SegmentSequence(
            files, kind: .flushed, limits: limits, from: number, salt: salt,
            chunkBytes: need + SegmentFormat.entriesOffset)
        for region in regions { try await sequence.append(region.bytes) }
        return try await sequence.finish()
    }

    /// Begins sparse segments of entries that come with a snapshot.
    ///
    /// - Parameters:
    ///   - index: the last entry that the snapshot covers; no entry may lie behind it.
    ///   - term: that entry's term.
    ///   - number: the number of the first segment; the others follow.
    ///   - salt: a random number.
    package func begin(
        installing index: LogIndex, term: Term, from number: UInt64, salt: UInt64
    ) -> SegmentSequence {
        SegmentSequence(
            files, kind: .installed(index: index, term: term), limits: limits, from: number, salt: salt)
    }
}
