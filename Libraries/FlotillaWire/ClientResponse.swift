import NIOCore

/// What a node answers to a `ClientRequest`.
public enum ClientResponse: Equatable, Sendable {
    case located(Located)
    case clusterStarted(ClusterStarted)
    case clusters(ClusterPage)
    case memberList(MemberList)
    case nodeOverview(NodeOverview)
    case memberChanged(MemberChanged)
    case sessionOpened(SessionOpened)
    /// What a member's own part of the machine replied.
    case auxReply(ByteBuffer)
    case done
    case error(FlotillaError)

    /// The type of the frame that carries the response.
    public var frameType: FrameType {
        switch self {
        case .located: .located
        case .clusterStarted: .clusterStarted
        case .clusters: .clusters
        case .memberList: .memberList
        case .nodeOverview: .nodeOverview
        case .memberChanged: .memberChanged
        case .sessionOpened: .sessionOpened
        case .auxReply: .auxReply
        case .done: .done
        case .error: .error
        }
    }

    /// Appends the frame's body.
    public func encodeBody(into buffer: inout ByteBuffer) {
        switch self {
        case .located(let value): value.encode(into: &buffer)
        case .clusterStarted(let value): value.encode(into: &buffer)
        case .clusters(let value): value.encode(into: &buffer)
        case .memberList(let value): value.encode(into: &buffer)
        case .nodeOverview(let value): value.encode(into: &buffer)
        case .memberChanged(let value): value.encode(into: &buffer)
        case .sessionOpened(let value): value.encode(into: &buffer)
        case .auxReply(let bytes): buffer.writeBlock(bytes)
        case .done: break
        case .error(let value): value.encode(into: &buffer)
        }
    }

    /// Reads the body of a frame; `nil` when its type is no response.
    public static func decode(_ type: FrameType, body: ByteBuffer) throws(WireError) -> ClientResponse? {
        var reader = WireReader(body)
        switch type {
        case .located: return .located(try Located(from: &reader))
        case .clusterStarted: return .clusterStarted(try ClusterStarted(from: &reader))
        case .clusters: return .clusters(try ClusterPage(from: &reader))
        case .memberList: return .memberList(try MemberList(from: &reader))
        case .nodeOverview: return .nodeOverview(try NodeOverview(from: &reader))
        case .memberChanged: return .memberChanged(try MemberChanged(from: &reader))
        case .sessionOpened: return .sessionOpened(try SessionOpened(from: &reader))
        case .auxReply: return .auxReply(try reader.block(limit: Limits.commandBytesMax))
        case .done: return .done
        case .error: return .error(try FlotillaError(from: &reader))
        default: return nil
        }
    }
}

/// Where a cluster is.
public struct Located: Equatable, Sendable, WireCodable {
    /// The cluster's identity.
    public var cluster: ClusterID
    /// The name of its state machine.
    public var machine: String
    /// The asked node's own server.
    public var local: ServerUID
    /// Who leads, as far as the node knows.
    public var leader: ServerUID?
    /// In which term.
    public var term: Term
    /// The members as the node knows them, with the addresses at which clients reach their nodes.
    public var configuration: ClusterConfiguration

    /// An answer of these parts.
    public init(
        cluster: ClusterID, machine: String, local: ServerUID, leader: ServerUID?, term: Term,
        configuration: ClusterConfiguration
    ) {
        self.cluster = cluster
        self.machine = machine
        self.local = local
        self.leader = leader
        self.term = term
        self.configuration = configuration
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeText(machine)
        buffer.writeIdentifier(local)
        buffer.writeIdentifier(optional: leader)
        buffer.writeLittle(term.rawValue)
        configuration.encode(into: &buffer)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            cluster: try reader.identifier(), machine: try reader.string(), local: try reader.identifier(),
            leader: try reader.optionalIdentifier(), term: try reader.term(),
            configuration: try ClusterConfiguration(from: &reader))
    }
}

/// What became of a request to start a cluster.
public struct ClusterStarted: Equatable, Sendable, WireCodable {
    /// The cluster's identity.
    public var cluster: ClusterID
    /// Who leads.
    public var leader: ServerID
    /// The members that run.
    public var started: [ServerID]
    /// The members that could not be started; they are started later by the others.
    public var notStarted: [ServerID]

    /// An answer of these parts.
    public init(cluster: ClusterID, leader: ServerID, started: [ServerID], notStarted: [ServerID]) {
        self.cluster = cluster
        self.leader = leader
        self.started = started
        self.notStarted = notStarted
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeServerID(leader)
        buffer.writeList(started) { $0.writeServerID($1) }
        buffer.writeList(notStarted) { $0.writeServerID($1) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        func server(_ reader: inout WireReader) throws(WireError) -> ServerID { try reader.serverID() }
        self.init(
            cluster: try reader.identifier(), leader: try reader.serverID(),
            started: try reader.list(limit: Limits.members, server),
            notStarted: try reader.list(limit: Limits.members, server))
    }
}

/// One page of a node's clusters.
public struct ClusterPage: Equatable, Sendable, WireCodable {
    /// One cluster.
    public struct Cluster: Equatable, Sendable {
        /// Its identity.
        public var id: ClusterID
        /// Its name.
        public var name: ClusterName
        /// The name of its state machine.
        public var machine: String
        /// Who leads, as far as the node knows.
        public var leader: ServerID?
        /// The members as the node knows them.
        public var members: [ServerID]

        /// A cluster of these parts.
        public init(id: ClusterID, name: ClusterName, machine: String, leader: ServerID?, members: [ServerID]) {
            self.id = id
            self.name = name
            self.machine = machine
            self.leader = leader
            self.members = members
        }
    }

    /// The clusters, in order of their names.
    public var clusters: [Cluster]
    /// Whether more come after the last of them.
    public var more: Bool

    /// A page of these parts.
    public init(clusters: [Cluster], more: Bool) {
        self.clusters = clusters
        self.more = more
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeBool(more)
        buffer.writeList(clusters) { buffer, cluster in
            buffer.writeIdentifier(cluster.id)
            buffer.writeText(cluster.name.description)
            buffer.writeText(cluster.machine)
            buffer.writeBool(cluster.leader != nil)
            if let leader = cluster.leader { buffer.writeServerID(leader) }
            buffer.writeList(cluster.members) { $0.writeServerID($1) }
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let more = try reader.bool()
        let clusters = try reader.list(limit: Limits.clustersPerPage) { (reader) throws(WireError) -> Cluster in
            Cluster(
                id: try reader.identifier(), name: try reader.clusterName(), machine: try reader.string(),
                leader: try reader.bool() ? try reader.serverID() : nil,
                members: try reader.list(limit: Limits.members) { (reader) throws(WireError) -> ServerID in
                    try reader.serverID()
                })
        }
        self.init(clusters: clusters, more: more)
    }
}

/// A cluster's members as its leader sees them.
public struct MemberList: Equatable, Sendable, WireCodable {
    /// The leader.
    public var leader: ServerID
    /// In which term.
    public var term: Term
    /// The latest configuration that the leader has appended, committed or not.
    public var configuration: ClusterConfiguration
    /// For each member, in the same order, how far its log is known to be the leader's.
    public var matched: [LogIndex]

    /// A list of these parts.
    public init(leader: ServerID, term: Term, configuration: ClusterConfiguration, matched: [LogIndex]) {
        self.leader = leader
        self.term = term
        self.configuration = configuration
        self.matched = matched
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeServerID(leader)
        buffer.writeLittle(term.rawValue)
        configuration.encode(into: &buffer)
        buffer.writeList(matched) { $0.writeLittle($1.rawValue) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            leader: try reader.serverID(), term: try reader.term(),
            configuration: try ClusterConfiguration(from: &reader),
            matched: try reader.list(limit: Limits.members) { (reader) throws(WireError) -> LogIndex in
                try reader.index()
            })
        guard matched.count == configuration.members.count else {
            throw WireError(.malformed, "\(matched.count) positions of \(configuration.members.count) members")
        }
    }
}
