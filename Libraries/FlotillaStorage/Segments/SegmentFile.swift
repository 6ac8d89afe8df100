import FlotillaWire

/// An open segment file whose header and tail were read.
struct SegmentFile: Sendable {
    let path: String
    let file: OpenFile
    let header: SegmentHeader
    let index: SegmentIndex

    /// Reads entries from `first` through `last`, counted by position, into the start of some memory.
    ///
    /// - Returns: how many bytes there are, fewer than these entries have only where the file ends too early.
    func read(
        _ first: Int, through last: Int, into memory: AlignedMemory, files: AsyncFiles
    ) async throws(FileSystemError) -> Int {
        let start = index.record(at: first).offset
        return try await files.read(
            file, at: UInt64(SegmentFormat.entriesOffset + start), count: index.end(of: last) - start, into: memory)
    }

    /// How long the entry at a position is.
    func length(at position: Int) -> Int { index.end(of: position) - index.record(at: position).offset }

    /// What the entry at a position is, whatever its bytes are by now.
    func identity(at position: Int) -> EntryIdentity { index.identity(index.record(at: position)) }

    /// What is damaged of the entry at a position; `nil` when it is right.
    ///
    /// - Parameters:
    ///   - bytes: what was read of the file.
    ///   - base: the offset behind the first entry at which that begins.
    func damage(at position: Int, in bytes: UnsafeRawBufferPointer, from base: Int) -> Damage? {
        let start = index.record(at: position).offset - base
        let end = index.end(of: position) - base
        let kind: Damage.Kind?
        if end > bytes.count {
            kind = .fileLength
        } else {
            kind = index.damage(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: position)
        }
        return kind.map { damage($0, at: position) }
    }

    /// Damage of the entry at a position.
    func damage(_ kind: Damage.Kind, at position: Int) -> Damage {
        let record = index.record(at: position)
        return Damage(
            file: path, offset: UInt64(SegmentFormat.entriesOffset + record.offset),
            length: UInt64(length(at: position)),
            kind: kind, server: header.uid, entries: record.index...record.index)
    }
}

extension SegmentFiles {
    /// Opens the file of a segment, which must be the very one that the segment says.
    ///
    /// - Throws: what the file system says; `corrupt` with its damage when the file can't be read, and with
    ///   `fileMissing` when it is not there or another one is in its place.
    func openWhole(_ segment: Segment) async throws(StorageError) -> SegmentFile {
        let path = path(segment.number)
        var damage = Damage(file: path, offset: 0, kind: .fileMissing, server: uid)
        if let (file, reader) = try await open(segment.number) {
            if let header = reader.header, let index = reader.index, header.salt == segment.salt {
                return SegmentFile(path: path, file: file, header: header, index: index)
            }
            // Nothing comes of it already, and a file that was only read loses nothing.
            _ = try? await files.perform(.close(file))
            // A file of the same number that is right in itself stands where the segment was.
            let isOther = reader.header.map { $0.salt != segment.salt } ?? false
            if !isOther, let found = reader.damages.first(where: { !$0.isHarmless }) { damage = found }
        }
        throw StorageError(.corrupt, "the segment can't be read: \(damage)", damages: [damage])
    }
}
