/// What an entry of the log is. All kinds have their number from the first version of the format on, used or not.
public enum EntryKind: UInt8, Sendable, CaseIterable {
    /// A command for the state machine, behind a `CommandPrefix`.
    case command = 1
    /// The first entry of a leader's term; its body is the machine version that is effective from here on.
    case noop = 2
    /// The members of the cluster from here on.
    case configuration = 3
    /// Registers a client session.
    case sessionRegister = 4
    /// Removes the sessions that it names.
    case sessionExpire = 5
    /// Tells the machine that a client session or a process that it watches is gone.
    case down = 6
    /// Tells the machine that a node that it watches is up.
    case nodeUp = 7
    /// Tells the machine that a node that it watches is down.
    case nodeDown = 8
    /// Tells the machine that one of its timers has fired.
    case timeout = 9
    /// The last entry of a cluster that is being deleted.
    case endOfLife = 10
}

/// The fixed head of an encoded entry: 40 bytes, little-endian.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | kind |
/// | 1 | 1 | flags, 0 so far |
/// | 2 | 2 | reserved, 0 |
/// | 4 | 4 | length of the body |
/// | 8 | 8 | index |
/// | 16 | 8 | term |
/// | 24 | 8 | leader's time, nanoseconds since 1970 |
/// | 32 | 4 | CRC32C of the body |
/// | 36 | 4 | CRC32C of bytes 0 to 35 |
///
/// The body has a checksum of its own, so that an entry whose body is damaged still has an identity (index, term,
/// body checksum) by which the right bytes can be recognised.
public struct EntryHeader: Equatable, Sendable {
    /// The length of the encoded header.
    public static let byteCount = 40

    /// What the entry is.
    public var kind: EntryKind
    /// The length of the body.
    public var bodyLength: UInt32
    /// Where in the log it stands.
    public var index: LogIndex
    /// The term of the leader that made it.
    public var term: Term
    /// The leader's clock when it made it, in nanoseconds since 1970; never less than that of the entry before.
    public var time: UInt64
    /// CRC32C of the body.
    public var bodyChecksum: UInt32

    /// A header of these parts.
    @inlinable
    public init(
        kind: EntryKind, bodyLength: UInt32, index: LogIndex, term: Term, time: UInt64, bodyChecksum: UInt32
    ) {
        self.kind = kind
        self.bodyLength = bodyLength
        self.index = index
        self.term = term
        self.time = time
        self.bodyChecksum = bodyChecksum
    }

    /// Length of the whole encoded entry.
    @inlinable
    public var entryLength: Int { Self.byteCount + Int(bodyLength) }

    /// Writes the 40 bytes to an address that has room for them.
    @inlinable
    public func store(to base: UnsafeMutableRawPointer) {
        base.storeBytes(of: UInt32(kind.rawValue).littleEndian, as: UInt32.self)
        base.storeBytes(of: bodyLength.littleEndian, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: index.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: term.rawValue.littleEndian, toByteOffset: 16, as: UInt64.self)
        base.storeBytes(of: time.littleEndian, toByteOffset: 24, as: UInt64.self)
        base.storeBytes(of: bodyChecksum.littleEndian, toByteOffset: 32, as: UInt32.self)
        let checksum = Checksum.crc32c(base, count: 36)
        base.storeBytes(of: checksum.littleEndian, toByteOffset: 36, as: UInt32.self)
    }

    /// Why an entry can't be read.
    public enum Damage: Error, Equatable, Sendable {
        /// There are fewer bytes than the entry says or needs.
        case truncated
        /// The header's checksum does not match.
        case headerChecksum
        /// The checksum is right but the kind is not known to this version.
        case unknownKind(UInt8)
        /// The header is right but the body's checksum does not match.
        case bodyChecksum
    }

    /// Reads a header and checks its checksum; says nothing about the body.
    @inlinable
    public static func load(from bytes: UnsafeRawBufferPointer) throws(Damage) -> EntryHeader {
        guard bytes.count >= byteCount, let base = bytes.baseAddress else { throw .truncated }
        let checksum = UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 36, as: UInt32.self))
        guard Checksum.crc32c(base, count: 36) == checksum else { throw .headerChecksum }
        guard let header = loadTrusted(from: base) else { throw .unknownKind(bytes[0]) }
        return header
    }

    /// Reads a header from bytes whose checksum was verified before; `nil` when the kind is unknown.
    @inlinable
    public static func loadTrusted(from base: UnsafeRawPointer) -> EntryHeader? {
        guard let kind = EntryKind(rawValue: base.load(as: UInt8.self)) else { return nil }
        return EntryHeader(
            kind: kind,
            bodyLength: UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
            index: LogIndex(UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self))),
            term: Term(UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 16, as: UInt64.self))),
            time: UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
            bodyChecksum: UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 32, as: UInt32.self)))
    }

    /// Reads the entry at the start of `bytes` and checks both checksums.
    ///
    /// - Returns: the header; the body is `bytes[40 ..< header.entryLength]`.
    @inlinable
    public static func verify(_ bytes: UnsafeRawBufferPointer) throws(Damage) -> EntryHeader {
        let header = try load(from: bytes)
        guard bytes.count >= header.entryLength else { throw .truncated }
        let body = UnsafeRawBufferPointer(rebasing: bytes[byteCount..<header.entryLength])
        guard Checksum.crc32c(body) == header.bodyChecksum else { throw .bodyChecksum }
        return header
    }
}
