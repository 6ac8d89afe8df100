import NIOCore

/// The version of a protocol or a file format. Equal majors understand each other; a newer minor only adds.
public struct FormatVersion: Equatable, Sendable, CustomStringConvertible {
    /// Changes when older readers would misunderstand.
    public var major: UInt16
    /// Changes when something was added that older readers may skip.
    public var minor: UInt16
    /// A version of these parts.
    public init(major: UInt16, minor: UInt16) {
        self.major = major
        self.minor = minor
    }
    /// `major.minor`.
    public var description: String { "\(major).\(minor)" }
    /// The wire protocol that this library speaks.
    public static let wire = FormatVersion(major: 1, minor: 0)
}

/// The first frame in each direction of a connection: who speaks, and which protocol. The side that dialled sends
/// `hello`, the other answers `welcome` with the same body, or `error` and closes.
public struct Hello: Equatable, Sendable {
    /// "FLTL" as bytes on the wire.
    public static let magic: UInt32 = 0x4c54_4c46

    /// What a connection between nodes is used for.
    public enum Lane: UInt8, Sendable, CaseIterable {
        /// Control messages and log entries.
        case log = 0
        /// Snapshots and repair.
        case bulk = 1
    }

    /// Who a node is.
    public struct Node: Equatable, Sendable {
        /// Its identity.
        public var id: NodeID
        /// Its name.
        public var name: NodeName
        /// How often it was started.
        public var incarnation: Incarnation
        /// Where others reach it.
        public var address: NodeAddress
        /// A node of these parts.
        public init(id: NodeID, name: NodeName, incarnation: Incarnation, address: NodeAddress) {
            self.id = id
            self.name = name
            self.incarnation = incarnation
            self.address = address
        }
    }

    /// Who speaks.
    public enum Role: Equatable, Sendable {
        /// A node, to another node.
        case peer(Node, Lane)
        /// A client, with a random number that tells it from others.
        case client(UInt64)
        /// A node, in its welcome to a client.
        case server(Node)
    }

    /// The protocol that the speaker speaks.
    public var version: FormatVersion
    /// Who speaks.
    public var role: Role
    /// A bit for each optional feature that the speaker understands; none is defined yet.
    public var features: UInt64

    /// A hello of these parts.
    public init(role: Role, version: FormatVersion = .wire, features: UInt64 = 0) {
        self.version = version
        self.role = role
        self.features = features
    }
}

extension Hello: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeLittle(Self.magic)
        buffer.writeLittle(version.major)
        buffer.writeLittle(version.minor)
        buffer.writeLittle(features)
        switch role {
        case .peer(let node, let lane):
            buffer.writeLittle(UInt8(1))
            node.encode(into: &buffer)
            buffer.writeLittle(lane.rawValue)
        case .client(let number):
            buffer.writeLittle(UInt8(2))
            buffer.writeLittle(number)
        case .server(let node):
            buffer.writeLittle(UInt8(3))
            node.encode(into: &buffer)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        guard try reader.integer(as: UInt32.self) == Self.magic else {
            throw WireError(.malformed, "this is not the Flotilla protocol")
        }
        let version = FormatVersion(major: try reader.integer(), minor: try reader.integer())
        guard version.major == FormatVersion.wire.major else {
            throw WireError(.version, "protocol \(version) is spoken there, \(FormatVersion.wire) here")
        }
        let features: UInt64 = try reader.integer()
        let role: Role
        switch try reader.integer(as: UInt8.self) {
        case 1:
            let node = try Node(from: &reader)
            let number: UInt8 = try reader.integer()
            guard let lane = Lane(rawValue: number) else { throw WireError(.malformed, "unknown lane \(number)") }
            role = .peer(node, lane)
        case 2: role = .client(try reader.integer())
        case 3: role = .server(try Node(from: &reader))
        case let number: throw WireError(.malformed, "unknown role \(number)")
        }
        self.init(role: role, version: version, features: features)
    }
}

extension Hello.Node: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(id)
        buffer.writeText(name.description)
        buffer.writeLittle(incarnation.rawValue)
        buffer.writeAddress(address)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            id: try reader.identifier(), name: try reader.nodeName(), incarnation: Incarnation(try reader.integer()),
            address: try reader.address())
    }
}
