import FlotillaWire
import NIOCore

/// Walks encoded entries that stand back to back and were verified before.
enum EntryRun {
    /// The part of an entry's header that names its contents: the checksums of its body and of its header.
    static let identityOffset = 32

    /// The length of the encoded entry that begins at an address with at least a whole header behind it.
    @inline(__always)
    static func length(at base: UnsafeRawPointer) -> Int {
        EntryHeader.byteCount + Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    }

    /// The index of the encoded entry that begins at an address.
    @inline(__always)
    static func index(at base: UnsafeRawPointer) -> UInt64 {
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// A checksum over the identities of `count` entries that must fill `bytes` exactly, indexes consecutive from
    /// `first` on. The bodies are not read: the identities vouch for them.
    static func checksum(_ bytes: UnsafeRawBufferPointer, first: LogIndex, count: Int) -> UInt32 {
        precondition(count > 0, "a run without entries")
        guard let base = bytes.baseAddress else { preconditionFailure("a run without bytes") }
        var checksum: UInt32 = 0
        var offset = 0
        var expected = first.rawValue
        for _ in 0..<count {
            precondition(bytes.count - offset >= EntryHeader.byteCount, "entries end in the middle of a header")
            let entry = base + offset
            precondition(index(at: entry) == expected, "an entry stands at the wrong index")
            checksum = Checksum.crc32c(entry + identityOffset, count: 8, continuing: checksum)
            offset += length(at: entry)
            expected += 1
        }
        precondition(offset == bytes.count, "entries don't fill their bytes")
        return checksum
    }

    /// How many bytes the first `count` entries of `bytes` take.
    static func byteCount(of count: Int, in bytes: UnsafeRawBufferPointer) -> Int {
        guard count > 0, let base = bytes.baseAddress else { return 0 }
        var offset = 0
        for _ in 0..<count {
            precondition(bytes.count - offset >= EntryHeader.byteCount, "entries end in the middle of a header")
            offset += length(at: base + offset)
        }
        precondition(offset <= bytes.count, "entries end in the middle of a body")
        return offset
    }

    /// How many of the first `count` entries fit into `limit` bytes, and how many bytes they take.
    static func prefix(of count: Int, in bytes: UnsafeRawBufferPointer, limit: Int) -> (count: Int, bytes: Int) {
        guard count > 0, let base = bytes.baseAddress else { return (0, 0) }
        var offset = 0
        for done in 0..<count {
            precondition(bytes.count - offset >= EntryHeader.byteCount, "entries end in the middle of a header")
            let end = offset + length(at: base + offset)
            if end > limit { return (done, offset) }
            offset = end
        }
        return (count, offset)
    }
}

extension EntriesRecord {
    /// The same entries in several runs of at most `limit` bytes each, unless a single entry is longer.
    func split(limit: Int) -> [EntriesRecord] {
        guard bytes.readableBytes > limit else { return [self] }
        var parts: [EntriesRecord] = []
        var rest = self
        while rest.count > 0 {
            let part = rest.takePrefix(limit: limit)
            parts.append(part)
        }
        return parts
    }

    private mutating func takePrefix(limit: Int) -> EntriesRecord {
        var taken = bytes.withUnsafeReadableBytes { EntryRun.prefix(of: count, in: $0, limit: limit) }
        if taken.count == 0 { taken = (1, bytes.withUnsafeReadableBytes { EntryRun.byteCount(of: 1, in: $0) }) }
        guard let slice = bytes.readSlice(length: taken.bytes) else { preconditionFailure("entries end early") }
        var part = self
        part.count = taken.count
        part.bytes = slice
        part.lastTerm = Self.lastTerm(of: slice, count: taken.count)
        first = first + taken.count
        count -= taken.count
        return part
    }

    private static func lastTerm(of bytes: ByteBuffer, count: Int) -> Term {
        bytes.withUnsafeReadableBytes { bytes in
            let offset = EntryRun.byteCount(of: count - 1, in: bytes)
            return Term(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self)))
        }
    }
}
