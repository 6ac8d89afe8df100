import NIOCore

/// What a client asks of a node apart from commands and queries. Each is answered by one frame with the same
/// correlation: the answer named beside it, or `error`.
public enum ClientRequest: Equatable, Sendable {
    /// Where is the cluster, and who leads it? Answered by `located`. With `waits`, the node answers only once a
    /// leader is known, or with `noLeader` when `timeoutMilliseconds` have passed.
    case locate(cluster: ClusterName, waits: Bool, timeoutMilliseconds: UInt32)
    /// Starts a cluster on the named nodes. Answered by `clusterStarted`.
    case startCluster(StartCluster)
    /// The clusters that have a member on this node, in order of their names, after one name and at most a page.
    /// Answered by `clusters`.
    case listClusters(after: ClusterName?)
    /// The members as the leader sees them. Answered by `memberList`, by a follower with `notLeader`.
    case members(ServerUID)
    /// Everything that the node counts and knows. Answered by `nodeOverview`.
    case overview
    /// Hands leadership over to the member on another node. Answered by `done` once that one leads.
    case transferLeadership(ServerUID, to: NodeName, timeoutMilliseconds: UInt32)
    /// Makes the server start an election, if it may. Answered by `done` at once.
    case triggerElection(ServerUID)
    /// Has the server take a snapshot of its machine as it is now. Answered by `done` once that is durable, and at once
    /// where nothing was applied since the last.
    case takeSnapshot(ServerUID, timeoutMilliseconds: UInt32)
    /// Changes the members, which the leader does. Answered by `memberChanged` once the change is committed, or with
    /// `waits` unset as soon as it is in the log, and by a follower with `notLeader`.
    case changeMembers(ServerUID, MemberChange, waits: Bool, timeoutMilliseconds: UInt32)
    /// Begins a session with the cluster. Answered by `sessionOpened` by the leader, by a follower with `notLeader`. A
    /// request that is repeated begins one more, which ends by itself.
    ///
    /// `home` is the node that the client counts as its own, if it has one.
    case openSession(ServerUID, home: NodeName?, timeoutMilliseconds: UInt32)
    /// The client of these sessions lives. Answered by `done` by the leader, by a follower with `notLeader`.
    case keepSessions(ServerUID, [UInt64])
    /// The client of these sessions needs them no more. Answered by `done` by the leader as soon as their end is in its
    /// log, by a follower with `notLeader`.
    case endSessions(ServerUID, [UInt64])
    /// Tells the member's own part of the machine something. Answered by `auxReply`, or with `waits` unset by `done`.
    case auxCommand(ServerUID, ByteBuffer, waits: Bool)
    /// Deletes the cluster that the server leads, with all that it holds. Answered by `done` once that is committed and
    /// applied, and with `timeout` when it was not in time: it may still come. A cluster that is being deleted already
    /// is waited for.
    case deleteCluster(ServerUID, timeoutMilliseconds: UInt32)

    /// A request to start a cluster.
    public struct StartCluster: Equatable, Sendable {
        /// The identity of the cluster that is to be; sending the same again changes nothing.
        public var cluster: ClusterID
        /// Its name.
        public var name: ClusterName
        /// The name of the state machine, as registered at the nodes.
        public var machine: String
        /// The machine's own configuration.
        public var machineConfiguration: ByteBuffer
        /// The nodes that are to have a member.
        public var nodes: [NodeName]
        /// How long a majority of them has to start, and a leader to appear.
        public var timeoutMilliseconds: UInt32

        /// A request of these parts.
        public init(
            cluster: ClusterID, name: ClusterName, machine: String, machineConfiguration: ByteBuffer,
            nodes: [NodeName], timeoutMilliseconds: UInt32
        ) {
            self.cluster = cluster
            self.name = name
            self.machine = machine
            self.machineConfiguration = machineConfiguration
            self.nodes = nodes
            self.timeoutMilliseconds = timeoutMilliseconds
        }
    }

    /// The type of the frame that carries the request.
    public var frameType: FrameType {
        switch self {
        case .locate: .locate
        case .startCluster: .startCluster
        case .listClusters: .listClusters
        case .members: .members
        case .overview: .overview
        case .transferLeadership: .transferLeadership
        case .triggerElection: .triggerElection
        case .takeSnapshot: .takeSnapshot
        case .changeMembers: .changeMembers
        case .openSession: .openSession
        case .keepSessions: .keepSessions
        case .endSessions: .endSessions
        case .auxCommand: .auxCommand
        case .deleteCluster: .deleteCluster
        }
    }

    /// Appends the frame's body.
    public func encodeBody(into buffer: inout ByteBuffer) {
        switch self {
        case .locate(let cluster, let waits, let timeout):
            buffer.writeText(cluster.description)
            buffer.writeBool(waits)
            buffer.writeLittle(timeout)
        case .startCluster(let request): request.encode(into: &buffer)
        case .listClusters(let name): buffer.writeText(name?.description ?? "")
        case .members(let server), .triggerElection(let server): buffer.writeIdentifier(server)
        case .openSession(let server, let home, let timeout):
            buffer.writeIdentifier(server)
            buffer.writeText(home?.description ?? "")
            buffer.writeLittle(timeout)
        case .auxCommand(let server, let command, let waits):
            buffer.writeIdentifier(server)
            buffer.writeBool(waits)
            buffer.writeBlock(command)
        case .takeSnapshot(let server, let timeout), .deleteCluster(let server, let timeout):
            buffer.writeIdentifier(server)
            buffer.writeLittle(timeout)
        case .changeMembers(let server, let change, let waits, let timeout):
            buffer.writeIdentifier(server)
            change.encode(into: &buffer)
            buffer.writeBool(waits)
            buffer.writeLittle(timeout)
        case .keepSessions(let server, let sessions), .endSessions(let server, let sessions):
            buffer.writeIdentifier(server)
            buffer.writeList(sessions) { $0.writeLittle($1) }
        case .overview: break
        case .transferLeadership(let server, let node, let timeout):
            buffer.writeIdentifier(server)
            buffer.writeText(node.description)
            buffer.writeLittle(timeout)
        }
    }

    /// Reads the body of a frame; `nil` when its type is no request.
    public static func decode(_ type: FrameType, body: ByteBuffer) throws(WireError) -> ClientRequest? {
        var reader = WireReader(body)
        switch type {
        case .locate:
            return .locate(
                cluster: try reader.clusterName(), waits: try reader.bool(),
                timeoutMilliseconds: try reader.integer())
        case .startCluster: return .startCluster(try StartCluster(from: &reader))
        case .listClusters:
            let text = try reader.string()
            if text.isEmpty { return .listClusters(after: nil) }
            do { return .listClusters(after: try ClusterName(text)) } catch {
                throw WireError(.malformed, error.description)
            }
        case .members: return .members(try reader.identifier())
        case .overview: return .overview
        case .transferLeadership:
            return .transferLeadership(
                try reader.identifier(), to: try reader.nodeName(), timeoutMilliseconds: try reader.integer())
        case .triggerElection: return .triggerElection(try reader.identifier())
        case .takeSnapshot:
            return .takeSnapshot(try reader.identifier(), timeoutMilliseconds: try reader.integer())
        case .changeMembers:
            return .changeMembers(
                try reader.identifier(), try MemberChange(from: &reader), waits: try reader.bool(),
                timeoutMilliseconds: try reader.integer())
        case .openSession:
            return .openSession(
                try reader.identifier(), home: try reader.optionalNodeName(),
                timeoutMilliseconds: try reader.integer())
        case .auxCommand:
            let server: ServerUID = try reader.identifier()
            let waits = try reader.bool()
            return .auxCommand(server, try reader.block(limit: Limits.commandBytesMax), waits: waits)
        case .keepSessions:
            return .keepSessions(try reader.identifier(), try reader.sessions())
        case .endSessions: return .endSessions(try reader.identifier(), try reader.sessions())
        case .deleteCluster:
            return .deleteCluster(try reader.identifier(), timeoutMilliseconds: try reader.integer())
        default: return nil
        }
    }
}

extension ClientRequest.StartCluster: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeIdentifier(cluster)
        buffer.writeText(name.description)
        buffer.writeText(machine)
        buffer.writeBlock(machineConfiguration)
        buffer.writeList(nodes) { $0.writeText($1.description) }
        buffer.writeLittle(timeoutMilliseconds)
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            cluster: try reader.identifier(), name: try reader.clusterName(), machine: try reader.string(),
            machineConfiguration: try reader.block(limit: Limits.machineConfigurationBytes),
            nodes: try reader.list(limit: Limits.members) { (reader) throws(WireError) -> NodeName in
                try reader.nodeName()
            },
            timeoutMilliseconds: try reader.integer())
    }
}

extension WireReader {
    /// The sessions that a request is about.
    fileprivate mutating func sessions() throws(WireError) -> [UInt64] {
        try list(limit: Limits.sessionsPerRequest) { (reader) throws(WireError) -> UInt64 in try reader.integer() }
    }
}
