import NIOCore

/// A change of a cluster's members, by one at a time (Ongaro 2014, 4.1).
public enum MemberChange: Equatable, Sendable, WireCodable {
    /// A member on a node of this name, or another role for the one that is there. The target of a promotable member is
    /// set by the leader.
    case add(on: NodeName, MemberRole)
    /// No member of this name any more.
    case remove(ServerID)

    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .add(let node, let role):
            buffer.writeInteger(UInt8(0))
            buffer.writeText(node.description)
            role.encode(into: &buffer)
        case .remove(let server):
            buffer.writeInteger(UInt8(1))
            buffer.writeServerID(server)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let kind: UInt8 = try reader.integer()
        switch kind {
        case 0: self = .add(on: try reader.nodeName(), try MemberRole(from: &reader))
        case 1: self = .remove(try reader.serverID())
        default: throw WireError(.malformed, "unknown change of members \(kind)")
        }
    }
}

/// A change of members that is in the leader's log.
public struct MemberChanged: Equatable, Sendable, WireCodable {
    /// The identity of the member's storage.
    public var member: ServerUID
    /// Where in the log the configuration stands.
    public var index: LogIndex
    /// The term of that entry.
    public var term: Term
    /// Who appended it.
    public var leader: ServerID

    /// A change of these parts.
    public init(member: ServerUID, index: LogIndex, term: Term, leader: ServerID) {
        self.member = member
        self.index = index
        self.term = term
        self.leader = leader
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(member)
        buffer.writeLittle(index.rawValue)
        buffer.writeLittle(term.rawValue)
        buffer.writeServerID(leader)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            member: try reader.identifier(), index: try reader.index(), term: try reader.term(),
            leader: try reader.serverID())
    }
}
