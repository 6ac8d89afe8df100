import NIOCore

/// What one node says to another about itself or about servers as a whole.
public enum PeerMessage: Equatable, Sendable {
    /// A sign of life that is answered, with what the sender believes of the clusters that both share.
    case ping(Ping)
    /// The answer to a ping, with the answerer's own belief.
    case pong(Ping)
    /// What the sender believes of the leadership of clusters that both share.
    case leaderships(Leaderships)
    /// These servers of the sender have stopped, though the sender itself lives on.
    case serverStopped([ServerUID])
    /// The sender stops now.
    case goodbye
    /// Starts a member of a cluster.
    case startServer(StartServer)
    /// What became of `startServer`, which had the same correlation.
    case startServerReply(StartServerReply)
    /// Deletes a server of a cluster that was never formed; the receiver refuses when a command was appended.
    case deleteServer(ClusterID)
    /// The receiver sent a consensus message to a server that the sender does not host.
    case unknownServer(ServerUID, ClusterID)
    /// These clusters, of which the receiver has named a member, were deleted as a whole.
    case clustersDeleted([DeletedCluster])
    /// The sender has these machines.
    case machines([Machine])
    /// These servers of the sender are not whole any more: they never vote, acknowledge or count again.
    case serversLost([ServerUID])
    /// Asks a server of the receiver for a piece of a snapshot.
    case snapshotRequest(SnapshotRequest)
    /// A piece of a snapshot that was asked for.
    case snapshotPart(SnapshotPart)
    /// Asks a server of the receiver for entries.
    case entriesRequest(EntriesRequest)
    /// Entries that were asked for.
    case entriesReply(EntriesReply)

    /// A sign of life. The digest is a sum over the clusters that both nodes share, so that the order does not
    /// matter and one change costs one subtraction and one addition.
    public struct Ping: Equatable, Sendable {
        /// A number that the answer repeats.
        public var sequence: UInt64
        /// Sum, with wrap-around, of a hash of each shared cluster's identity, term and leader.
        public var digest: UInt64
        /// How many clusters are in the sum.
        public var count: UInt32

        /// A sign of life of these parts.
        public init(sequence: UInt64, digest: UInt64, count: UInt32) {
            self.sequence = sequence
            self.digest = digest
            self.count = count
        }
    }

    /// One page of what a node believes of the clusters that both share.
    public struct Leaderships: Equatable, Sendable {
        /// One cluster.
        public struct Cluster: Equatable, Sendable {
            /// The cluster.
            public var cluster: ClusterID
            /// The sender's server in it.
            public var server: ServerUID
            /// That server's term.
            public var term: Term
            /// Whom that server follows, itself when it leads.
            public var leader: ServerUID?

            /// A belief of these parts.
            public init(cluster: ClusterID, server: ServerUID, term: Term, leader: ServerUID?) {
                self.cluster = cluster
                self.server = server
                self.term = term
                self.leader = leader
            }
        }

        /// Whether the receiver should answer with its own.
        public var wantsAnswer: Bool
        /// Whether this is the last page. Only then does the absence of a cluster mean anything.
        public var isLast: Bool
        /// The clusters.
        public var clusters: [Cluster]

        /// A page of these parts.
        public init(wantsAnswer: Bool, isLast: Bool, clusters: [Cluster]) {
            self.wantsAnswer = wantsAnswer
            self.isLast = isLast
            self.clusters = clusters
        }
    }

    /// A request to host one member of a cluster.
    public struct StartServer: Equatable, Sendable {
        /// A member that joins a cluster that was started without it.
        public struct Joining: Equatable, Sendable {
            /// The member.
            public var member: Member
            /// The term of the leader that asks; zero when it is another member that asks, because it needs this one for
            /// a leader to be elected. A server of the same cluster that the receiver hosts already, and that this
            /// member is to replace, may be of no later term unless it knows itself that it was removed.
            public var term: Term

            /// A member that joins in the term of the leader that asks, or in term zero.
            public init(member: Member, term: Term) {
                self.member = member
                self.term = term
            }
        }

        /// The cluster's identity.
        public var cluster: ClusterID
        /// Its name.
        public var name: ClusterName
        /// The name of its state machine.
        public var machine: String
        /// The machine's own configuration.
        public var machineConfiguration: ByteBuffer
        /// The members at index 0; the receiver finds itself in it by its node identity, unless it is to join.
        public var initial: ClusterConfiguration
        /// The receiver's member, when it is not one of those at index 0.
        public var joining: Joining?

        /// A request of these parts.
        public init(
            cluster: ClusterID, name: ClusterName, machine: String, machineConfiguration: ByteBuffer,
            initial: ClusterConfiguration, joining: Joining? = nil
        ) {
            self.cluster = cluster
            self.name = name
            self.machine = machine
            self.machineConfiguration = machineConfiguration
            self.initial = initial
            self.joining = joining
        }
    }

    /// What became of a request to host a member.
    public struct StartServerReply: Equatable, Sendable {
        /// The cluster's identity.
        public var cluster: ClusterID
        /// Why the server was not started; `nil` when it runs and its start is durable.
        public var refusal: FlotillaError?

        /// A reply of these parts.
        public init(cluster: ClusterID, refusal: FlotillaError?) {
            self.cluster = cluster
            self.refusal = refusal
        }
    }

    /// The type of the frame that carries the message.
    public var frameType: FrameType {
        switch self {
        case .ping: .ping
        case .pong: .pong
        case .leaderships: .leaderships
        case .serverStopped: .serverStopped
        case .goodbye: .goodbye
        case .startServer: .startServer
        case .startServerReply: .startServerReply
        case .deleteServer: .deleteServer
        case .unknownServer: .unknownServer
        case .clustersDeleted: .clustersDeleted
        case .machines: .machines
        case .serversLost: .serversLost
        case .snapshotRequest: .snapshotRequest
        case .snapshotPart: .snapshotPart
        case .entriesRequest: .entriesRequest
        case .entriesReply: .entriesReply
        }
    }

    /// Appends the frame's body.
    public func encodeBody(into buffer: inout ByteBuffer) {
        switch self {
        case .ping(let ping), .pong(let ping):
            buffer.writeLittle(ping.sequence)
            buffer.writeLittle(ping.digest)
            buffer.writeLittle(ping.count)
        case .leaderships(let page): page.encode(into: &buffer)
        case .serverStopped(let servers), .serversLost(let servers):
            buffer.writeList(servers) { $0.writeIdentifier($1) }
        case .goodbye: break
        case .startServer(let request): request.encode(into: &buffer)
        case .startServerReply(let reply):
            buffer.writeIdentifier(reply.cluster)
            buffer.writeBool(reply.refusal != nil)
            reply.refusal?.encode(into: &buffer)
        case .deleteServer(let cluster): buffer.writeIdentifier(cluster)
        case .unknownServer(let server, let cluster):
            buffer.writeIdentifier(server)
            buffer.writeIdentifier(cluster)
        case .machines(let machines): buffer.writeList(machines) { $1.encode(into: &$0) }
        case .clustersDeleted(let clusters): buffer.writeList(clusters) { $1.encode(into: &$0) }
        case .snapshotRequest(let request): request.encode(into: &buffer)
        case .snapshotPart(let part): part.encode(into: &buffer)
        case .entriesRequest(let request): request.encode(into: &buffer)
        case .entriesReply(let reply): reply.encode(into: &buffer)
        }
    }

    /// Reads the body of a frame; `nil` when its type is none of these.
    public static func decode(_ type: FrameType, body: ByteBuffer) throws(WireError) -> PeerMessage? {
        var reader = WireReader(body)
        switch type {
        case .ping: return .ping(try Ping(from: &reader))
        case .pong: return .pong(try Ping(from: &reader))
        case .leaderships: return .leaderships(try Leaderships(from: &reader))
        case .serverStopped: return .serverStopped(try servers(from: &reader))
        case .serversLost: return .serversLost(try servers(from: &reader))
        case .goodbye: return .goodbye
        case .startServer: return .startServer(try StartServer(from: &reader))
        case .startServerReply:
            return .startServerReply(
                StartServerReply(
                    cluster: try reader.identifier(),
                    refusal: try reader.bool() ? try FlotillaError(from: &reader) : nil))
        case .deleteServer: return .deleteServer(try reader.identifier())
        case .unknownServer: return .unknownServer(try reader.identifier(), try reader.identifier())
        case .machines:
            return .machines(
                try reader.list(limit: Limits.machinesPerFrame) { (reader) throws(WireError) -> Machine in
                    try Machine(from: &reader)
                })
        case .clustersDeleted: return .clustersDeleted(try deletedClusters(from: &reader))
        case .snapshotRequest: return .snapshotRequest(try SnapshotRequest(from: &reader))
        case .snapshotPart: return .snapshotPart(try SnapshotPart(from: &reader))
        case .entriesRequest: return .entriesRequest(try EntriesRequest(from: &reader))
        case .entriesReply: return .entriesReply(try EntriesReply(from: &reader))
        default: return nil
        }
    }

    private static func servers(from reader: inout WireReader) throws(WireError) -> [ServerUID] {
        try reader.list(limit: Limits.clustersPerPage) { (reader) throws(WireError) -> ServerUID in
            try reader.identifier()
        }
    }
}

extension PeerMessage.Ping {
    init(from reader: inout WireReader) throws(WireError) {
        self.init(sequence: try reader.integer(), digest: try reader.integer(), count: try reader.integer())
    }
}

extension PeerMessage.Leaderships: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeBool(wantsAnswer)
        buffer.writeBool(isLast)
        buffer.writeList(clusters) { buffer, cluster in
            buffer.writeIdentifier(cluster.cluster)
            buffer.writeIdentifier(cluster.server)
            buffer.writeLittle(cluster.term.rawValue)
            buffer.writeIdentifier(optional: cluster.leader)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            wantsAnswer: try reader.bool(), isLast: try reader.bool(),
            clusters: try reader.list(limit: Limits.clustersPerPage) { (reader) throws(WireError) -> Cluster in
                Cluster(
                    cluster: try reader.identifier(), server: try reader.identifier(), term: try reader.term(),
                    leader: try reader.optionalIdentifier())
            })
    }
}

extension PeerMessage.StartServer: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeText(name.description)
        buffer.writeText(machine)
        buffer.writeBlock(machineConfiguration)
        initial.encode(into: &buffer)
        buffer.writeBool(joining != nil)
        guard let joining else { return }
        joining.member.encode(into: &buffer)
        buffer.writeLittle(joining.term.rawValue)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            cluster: try reader.identifier(), name: try reader.clusterName(), machine: try reader.string(),
            machineConfiguration: try reader.block(limit: Limits.machineConfigurationBytes),
            initial: try ClusterConfiguration(from: &reader),
            joining: try reader.bool() ? Joining(member: try Member(from: &reader), term: try reader.term()) : nil)
    }
}
