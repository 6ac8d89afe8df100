import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Reads segments straight from a disk, without the node's reader and without taking time: what a checker wants to
/// know that sees everything.
struct StoredEntries {
    let disk: SimulatedDisk

    /// The encoded entries that a set of segments shows in a range, by index; those that are not there are left out.
    func entries(of segments: SegmentSet, from: LogIndex, through: LogIndex) -> [(index: LogIndex, bytes: ByteBuffer)] {
        var found: [(index: LogIndex, bytes: ByteBuffer)] = []
        for slice in segments.slices(from: from, through: through) {
            found += entries(of: slice.segment).filter { slice.range.contains($0.index) }
        }
        return found
    }

    /// One encoded entry, in whatever segment shows it.
    func entry(of segments: SegmentSet, at index: LogIndex) -> ByteBuffer? {
        segments.lookUp(index).flatMap { entries(of: $0).first { $0.index == index }?.bytes }
    }

    private func entries(of segment: Segment) -> [(index: LogIndex, bytes: ByteBuffer)] {
        let directory = SegmentFormat.directory(of: segment.uid, in: "/data/servers")
        guard let bytes = disk.contents("\(directory)/\(SegmentFormat.fileName(segment.number))") else { return [] }
        let start = SegmentFormat.entriesOffset
        guard bytes.count >= start + segment.entryBytes else { return [] }
        var rest = ByteBuffer(bytes: bytes[start..<start + segment.entryBytes])
        var entries: [(index: LogIndex, bytes: ByteBuffer)] = []
        while rest.readableBytes >= EntryHeader.byteCount {
            if let header = rest.withUnsafeReadableBytes({ Self.header($0) }),
                let entry = rest.readSlice(length: header.entryLength)
            {
                entries.append((header.index, entry))
            } else {
                // How long a damaged entry is nobody knows; those behind it may be whole, and the node finds them by its
                // own index.
                rest.moveReaderIndex(forwardBy: 1)
            }
        }
        return entries
    }

    /// What is damaged is nothing that a log holds: whoever reads it finds that out.
    private static func header(_ bytes: UnsafeRawBufferPointer) -> EntryHeader? { try? EntryHeader.load(from: bytes) }
}
