import NIOCore

/// Names a snapshot of a cluster: the last entry that it covers. Two snapshots of one cluster with the same name hold
/// the same state.
public struct SnapshotName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The last entry that it covers.
    public var index: LogIndex
    /// The term of that entry.
    public var term: Term

    /// The name of a snapshot through an entry.
    public init(index: LogIndex, term: Term) {
        self.index = index
        self.term = term
    }

    /// Orders by index.
    public static func < (left: SnapshotName, right: SnapshotName) -> Bool {
        (left.index, left.term) < (right.index, right.term)
    }

    /// Index and term.
    public var description: String { "\(index) of term \(term)" }
}

/// Where in a snapshot's stream something stands: first the bytes of its file, then the live entries in index order.
public enum SnapshotPosition: Equatable, Sendable {
    /// A byte of the file.
    case file(offset: UInt64)
    /// Behind the live entry of an index; zero for the first.
    case entries(after: LogIndex)
}

/// Asks another server of the cluster for a piece of a snapshot. Whoever receives a snapshot asks for it piece by piece,
/// so that nothing is sent faster than it is written, and what was interrupted goes on where it was.
public struct SnapshotRequest: Equatable, Sendable {
    /// Whom it is from and for.
    public var address: ConsensusAddress
    /// The snapshot.
    public var snapshot: SnapshotName
    /// Where the piece begins.
    public var position: SnapshotPosition

    /// A request of these parts.
    public init(address: ConsensusAddress, snapshot: SnapshotName, position: SnapshotPosition) {
        self.address = address
        self.snapshot = snapshot
        self.position = position
    }
}

/// The answer to a `SnapshotRequest`.
public struct SnapshotPart: Equatable, Sendable {
    /// What is in an answer.
    public enum Content: Equatable, Sendable {
        /// Bytes of the file, whose length is given; no bytes only at its end.
        case file(bytes: ByteBuffer, length: UInt64)
        /// Encoded live entries, each with its checksums, in ascending order, and whether there are more.
        case entries(ByteBuffer, more: Bool)
        /// The snapshot is not there, or not any more: there may be a newer one.
        case gone
    }

    /// Whom it is from and for.
    public var address: ConsensusAddress
    /// The snapshot.
    public var snapshot: SnapshotName
    /// Where the piece begins, as in the request.
    public var position: SnapshotPosition
    /// The piece.
    public var content: Content

    /// An answer of these parts.
    public init(
        address: ConsensusAddress, snapshot: SnapshotName, position: SnapshotPosition, content: Content
    ) {
        self.address = address
        self.snapshot = snapshot
        self.position = position
        self.content = content
    }
}

extension SnapshotRequest: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        address.encode(into: &buffer)
        snapshot.encode(into: &buffer)
        position.encode(into: &buffer)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            address: try ConsensusAddress(from: &reader), snapshot: try SnapshotName(from: &reader),
            position: try SnapshotPosition(from: &reader))
    }
}

extension SnapshotPart: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        address.encode(into: &buffer)
        snapshot.encode(into: &buffer)
        position.encode(into: &buffer)
        switch content {
        case .file(let bytes, let length):
            buffer.writeLittle(UInt8(0))
            buffer.writeLittle(length)
            buffer.writeBlock(bytes)
        case .entries(let bytes, let more):
            buffer.writeLittle(UInt8(1))
            buffer.writeBool(more)
            buffer.writeBlock(bytes)
        case .gone: buffer.writeLittle(UInt8(2))
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        address = try ConsensusAddress(from: &reader)
        snapshot = try SnapshotName(from: &reader)
        position = try SnapshotPosition(from: &reader)
        switch try reader.integer(as: UInt8.self) {
        case 0:
            let length: UInt64 = try reader.integer()
            content = .file(bytes: try reader.block(limit: Limits.frameBytes), length: length)
        case 1:
            let more = try reader.bool()
            content = .entries(try reader.block(limit: Limits.frameBytes), more: more)
        case 2: content = .gone
        case let number: throw WireError(.malformed, "unknown content \(number) of a snapshot's part")
        }
    }
}

extension ConsensusAddress: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeIdentifier(sender)
        buffer.writeIdentifier(target)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(cluster: try reader.identifier(), sender: try reader.identifier(), target: try reader.identifier())
    }

    /// The address of an answer.
    public var reversed: ConsensusAddress { ConsensusAddress(cluster: cluster, sender: target, target: sender) }
}

extension SnapshotName: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeLittle(index.rawValue)
        buffer.writeLittle(term.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(index: try reader.index(), term: try reader.term())
    }
}

extension SnapshotPosition: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .file(let offset):
            buffer.writeLittle(UInt8(0))
            buffer.writeLittle(offset)
        case .entries(let index):
            buffer.writeLittle(UInt8(1))
            buffer.writeLittle(index.rawValue)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case 0: self = .file(offset: try reader.integer())
        case 1: self = .entries(after: try reader.index())
        case let number: throw WireError(.malformed, "unknown position \(number) in a snapshot")
        }
    }
}
