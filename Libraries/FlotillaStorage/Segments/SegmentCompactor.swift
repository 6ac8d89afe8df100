import FlotillaWire
import NIOCore

/// Rewrites what is live of some segments of one server as one sparse segment: a job for the background.
package struct SegmentCompactor: Sendable {
    /// How much is read by one operation.
    private static let readBytes = 1 << 20
    /// So many dead bytes between live ones are read along rather than skipped by another operation.
    private static let gapBytes = 32 << 10

    private let files: SegmentFiles
    private let limits: SegmentLimits

    /// A compactor of a server's segments.
    package init(_ files: SegmentFiles, limits: SegmentLimits = SegmentLimits()) {
        self.files = files
        self.limits = limits
    }

    /// Copies the live entries of a group, verifying each, into a new segment, which is durable when this returns.
    ///
    /// Add it to the set, which then drops the old segments, and remove their files. Until then the old ones show the
    /// same. If all live entries together don't fit into one segment, only the older part of the group is rewritten.
    ///
    /// - Parameters:
    ///   - live: the entries that the machine still needs; none may be missing that it may ask for.
    ///   - number: the number of the new segment.
    ///   - salt: a random number.
    /// - Returns: the new segment; `nil`, and no file, when the group holds no live entry.
    /// - Throws: what the file system says, and `corrupt` with the damages when an entry is not right. The group stays
    ///   as it is then, and no file is left.
    package func rewrite(
        _ group: SegmentGroup, live: LiveIndexes, into number: UInt64, salt: UInt64
    ) async throws(StorageError) -> Segment? {
        guard let first = group.members.first else { return nil }
        var sequence = SegmentSequence(
            files, kind: .compacted(replaces: first.segment.order...first.segment.order), limits: .format,
            from: number, salt: salt)
        var taken: [Segment] = []
        do throws(StorageError) {
            for member in group.members {
                guard try await copy(member, live: live, to: &sequence) else { break }
                taken.append(member.segment)
            }
        } catch {
            await sequence.discard()
            throw error
        }
        guard let last = taken.last else { return nil }
        sequence.kind = .compacted(replaces: first.segment.order...last.order)
        sequence.hiding = taken.reduce(.nothing) { $0.union($1.hiding) }
        return try await sequence.finish().first
    }

    /// Copies what is live of one segment.
    ///
    /// - Returns: `false` when it no longer fits, and nothing was copied.
    private func copy(
        _ member: SegmentGroup.Member, live: LiveIndexes, to sequence: inout SegmentSequence
    ) async throws(StorageError) -> Bool {
        guard let range = member.range else { return true }
        let wanted = live.within(range.lowerBound, through: range.upperBound)
        guard !wanted.isEmpty else { return true }
        let file = try await files.openWhole(member.segment)
        do throws(StorageError) {
            let positions = wanted.compactMap { file.index.position(of: $0) }
            let bytes = positions.reduce(0) { $0 + file.length(at: $1) }
            let fits =
                sequence.count == 0
                || sequence.count + positions.count <= limits.maxEntries && sequence.bytes + bytes <= limits.maxBytes
            if fits { try await copy(positions, of: file, to: &sequence) }
            // A file that was only read loses nothing.
            _ = try? await files.files.perform(.close(file.file))
            return fits
        } catch {
            _ = try? await files.files.perform(.close(file.file))
            throw error
        }
    }

    private func copy(
        _ positions: [Int], of file: SegmentFile, to sequence: inout SegmentSequence
    ) async throws(StorageError) {
        var memory = AlignedMemory(capacity: min(Self.readBytes, file.index.entryBytes))
        var place = 0
        while place < positions.count {
            let end = stretch(of: positions, from: place, in: file)
            let need = file.index.end(of: positions[end]) - file.index.record(at: positions[place]).offset
            if memory.capacity < need { memory = AlignedMemory(capacity: need) }
            let entries = try await read(positions[place...end], of: file, into: memory)
            try await sequence.append(entries)
            place = end + 1
        }
    }

    /// How many of some positions, from one on, are read by one operation; gives the last.
    private func stretch(of positions: [Int], from place: Int, in file: SegmentFile) -> Int {
        let start = file.index.record(at: positions[place]).offset
        var last = place
        while last + 1 < positions.count {
            let next = positions[last + 1]
            let gap = file.index.record(at: next).offset - file.index.end(of: positions[last])
            guard gap <= Self.gapBytes, file.index.end(of: next) - start <= Self.readBytes else { break }
            last += 1
        }
        return last
    }

    /// Reads entries by one operation, and leaves out what stands between them.
    private func read(
        _ positions: ArraySlice<Int>, of file: SegmentFile, into memory: AlignedMemory
    ) async throws(StorageError) -> ByteBuffer {
        guard let first = positions.first, let last = positions.last else { return ByteBuffer() }
        let got: Int
        do throws(FileSystemError) {
            got = try await file.read(first, through: last, into: memory, files: files.files)
        } catch { throw StorageError(error) }
        let start = file.index.record(at: first).offset
        let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[..<got])
        let damages = positions.compactMap { file.damage(at: $0, in: bytes, from: start) }
        guard damages.isEmpty else {
            throw StorageError(.corrupt, "\(damages.count) damaged entries in \(file.path)", damages: damages)
        }
        var entries = ByteBuffer()
        entries.reserveCapacity(got)
        for position in positions {
            let offset = file.index.record(at: position).offset - start
            entries.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + file.length(at: position)]))
        }
        return entries
    }
}
