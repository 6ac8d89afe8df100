import NIOCore

/// What a member may do in its cluster.
public enum MemberRole: Equatable, Hashable, Sendable {
    /// Votes and counts.
    case voter
    /// Receives everything, never votes, never counts.
    case nonVoter
    /// As `nonVoter`, until its log has reached the target; then the leader makes it a voter.
    case promotable(target: LogIndex)
}

/// One member of a cluster, with everything that is needed to reach it and to know it again.
public struct Member: Hashable, Sendable {
    /// Its name.
    public var id: ServerID
    /// The identity of its storage.
    public var uid: ServerUID
    /// The identity of the node that hosts it.
    public var nodeID: NodeID
    /// Where that node listened when the configuration was made.
    public var address: NodeAddress
    /// What it may do.
    public var role: MemberRole

    /// A member of these parts.
    public init(id: ServerID, uid: ServerUID, nodeID: NodeID, address: NodeAddress, role: MemberRole = .voter) {
        self.id = id
        self.uid = uid
        self.nodeID = nodeID
        self.address = address
        self.role = role
    }

    /// Whether it votes.
    public var isVoter: Bool { role == .voter }
}

/// The members of a cluster from some index of its log on. Members stand in the order in which they were added.
public struct ClusterConfiguration: Hashable, Sendable {
    /// All members.
    public var members: [Member]

    /// A configuration of these members.
    public init(members: [Member]) { self.members = members }

    /// The members that vote.
    public var voters: [Member] { members.filter(\.isVoter) }

    /// The member with a storage identity.
    public func member(_ uid: ServerUID) -> Member? { members.first { $0.uid == uid } }

    /// Whether a storage identity is that of a voter.
    public func isVoter(_ uid: ServerUID) -> Bool { member(uid)?.isVoter ?? false }
}

extension Member: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeServerID(id)
        buffer.writeIdentifier(uid)
        buffer.writeIdentifier(nodeID)
        buffer.writeAddress(address)
        role.encode(into: &buffer)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let id = try reader.serverID()
        let uid: ServerUID = try reader.identifier()
        let nodeID: NodeID = try reader.identifier()
        let address = try reader.address()
        self.init(id: id, uid: uid, nodeID: nodeID, address: address, role: try MemberRole(from: &reader))
    }
}

extension MemberRole: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        let (number, target): (UInt8, LogIndex) =
            switch self {
            case .voter: (0, .zero)
            case .nonVoter: (1, .zero)
            case .promotable(let target): (2, target)
            }
        buffer.writeLittle(number)
        buffer.writeLittle(target.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let number: UInt8 = try reader.integer()
        let target = try reader.index()
        let roles: [MemberRole] = [.voter, .nonVoter, .promotable(target: target)]
        guard Int(number) < roles.count else { throw WireError(.malformed, "unknown member role \(number)") }
        self = roles[Int(number)]
    }
}

extension ClusterConfiguration: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeList(members) { $1.encode(into: &$0) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let members = try reader.list(limit: Limits.members) { (reader) throws(WireError) -> Member in
            try Member(from: &reader)
        }
        guard !members.isEmpty, Set(members.map(\.uid)).count == members.count,
            Set(members.map(\.id)).count == members.count
        else { throw WireError(.malformed, "a configuration without members or with the same one twice") }
        self.init(members: members)
    }
}
