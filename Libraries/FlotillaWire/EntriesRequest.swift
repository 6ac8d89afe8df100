import NIOCore

/// Asks another server of the cluster for committed entries which the sender can't read any more. Whoever has an index
/// committed has the same entry there (Raft's state machine safety, section 5.4.3), so no leader is needed for it.
public struct EntriesRequest: Equatable, Sendable {
    /// How many indexes there are in a request at most.
    public static let maxCount = 1_024

    /// Whom it is from and for.
    public var address: ConsensusAddress
    /// Where the entries stand, ascending.
    public var indexes: [LogIndex]

    /// A request for these entries.
    public init(address: ConsensusAddress, indexes: [LogIndex]) {
        self.address = address
        self.indexes = indexes
    }
}

/// The answer to an `EntriesRequest`.
public struct EntriesReply: Equatable, Sendable {
    /// Whom it is from and for.
    public var address: ConsensusAddress
    /// The first index of the request.
    public var first: LogIndex
    /// The first entries that were asked for, encoded with their checksums, back to back; nothing when the sender does not
    /// have the first of them.
    public var entries: ByteBuffer

    /// An answer of these parts.
    public init(address: ConsensusAddress, first: LogIndex, entries: ByteBuffer) {
        self.address = address
        self.first = first
        self.entries = entries
    }
}

extension EntriesRequest: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        address.encode(into: &buffer)
        buffer.writeList(indexes) { $0.writeLittle($1.rawValue) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        address = try ConsensusAddress(from: &reader)
        indexes = try reader.list(limit: Self.maxCount) { (reader) throws(WireError) in
            try reader.index()
        }
        guard !indexes.isEmpty, zip(indexes, indexes.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw WireError(.malformed, "a request for entries whose indexes do not ascend")
        }
    }
}

extension EntriesReply: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        address.encode(into: &buffer)
        buffer.writeLittle(first.rawValue)
        buffer.writeBlock(entries)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            address: try ConsensusAddress(from: &reader), first: try reader.index(),
            entries: try reader.block(limit: Limits.frameBytes))
    }
}
