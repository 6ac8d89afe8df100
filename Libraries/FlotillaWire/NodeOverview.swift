import NIOCore

/// A count or a level, by name. Names are part of the interface: they only ever get more.
public struct NamedValue: Equatable, Sendable {
    /// Lower case with underscores; counts end in `_total`, units stand at the end.
    public var name: String
    /// The value.
    public var value: UInt64

    /// A value of these parts.
    public init(_ name: String, _ value: UInt64) {
        self.name = name
        self.value = value
    }
}

/// Everything that a node counts and knows, at one moment.
public struct NodeOverview: Equatable, Sendable, WireCodable {
    /// Another node, as this one sees it.
    public struct Peer: Equatable, Sendable {
        /// Its name.
        public var name: NodeName
        /// Its address.
        public var address: NodeAddress
        /// Whether it is up, as the failure detector sees it.
        public var isUp: Bool
        /// What is counted of it.
        public var values: [NamedValue]

        /// A peer of these parts.
        public init(name: NodeName, address: NodeAddress, isUp: Bool, values: [NamedValue]) {
            self.name = name
            self.address = address
            self.isUp = isUp
            self.values = values
        }
    }

    /// One server of the node.
    public struct Server: Equatable, Sendable {
        /// Its name.
        public var id: ServerID
        /// The identity of its storage.
        public var uid: ServerUID
        /// Its cluster.
        public var cluster: ClusterName
        /// The name of its state machine.
        public var machine: String
        /// `follower`, `preCandidate`, `candidate` or `leader`; `halted` when its machine has failed.
        public var state: String
        /// Who leads, as far as it knows.
        public var leader: ServerID?
        /// Why it is halted; empty otherwise.
        public var note: String
        /// What is counted of it.
        public var values: [NamedValue]

        /// A server of these parts.
        public init(
            id: ServerID, uid: ServerUID, cluster: ClusterName, machine: String, state: String, leader: ServerID?,
            note: String, values: [NamedValue]
        ) {
            self.id = id
            self.uid = uid
            self.cluster = cluster
            self.machine = machine
            self.state = state
            self.leader = leader
            self.note = note
            self.values = values
        }
    }

    /// Who the node is.
    public var node: Hello.Node
    /// What is counted of the node as a whole, its write-ahead log included.
    public var values: [NamedValue]
    /// The other nodes.
    public var peers: [Peer]
    /// Its servers, in order of their names.
    public var servers: [Server]

    /// An overview of these parts.
    public init(node: Hello.Node, values: [NamedValue], peers: [Peer], servers: [Server]) {
        self.node = node
        self.values = values
        self.peers = peers
        self.servers = servers
    }

    public func encode(into buffer: inout ByteBuffer) {
        node.encode(into: &buffer)
        buffer.writeValues(values)
        buffer.writeList(peers) { buffer, peer in
            buffer.writeText(peer.name.description)
            buffer.writeAddress(peer.address)
            buffer.writeBool(peer.isUp)
            buffer.writeValues(peer.values)
        }
        buffer.writeList(servers) { buffer, server in
            buffer.writeServerID(server.id)
            buffer.writeIdentifier(server.uid)
            buffer.writeText(server.cluster.description)
            buffer.writeText(server.machine)
            buffer.writeText(server.state)
            buffer.writeBool(server.leader != nil)
            if let leader = server.leader { buffer.writeServerID(leader) }
            buffer.writeText(server.note, limit: Limits.errorMessageBytes)
            buffer.writeValues(server.values)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        self.init(
            node: try Hello.Node(from: &reader), values: try reader.values(),
            peers: try reader.list(limit: Limits.frameBytes) { (reader) throws(WireError) -> Peer in
                Peer(
                    name: try reader.nodeName(), address: try reader.address(), isUp: try reader.bool(),
                    values: try reader.values())
            },
            servers: try reader.list(limit: Limits.frameBytes) { (reader) throws(WireError) -> Server in
                Server(
                    id: try reader.serverID(), uid: try reader.identifier(), cluster: try reader.clusterName(),
                    machine: try reader.string(), state: try reader.string(),
                    leader: try reader.bool() ? try reader.serverID() : nil,
                    note: try reader.string(limit: Limits.errorMessageBytes), values: try reader.values())
            })
    }
}

extension ByteBuffer {
    fileprivate mutating func writeValues(_ values: [NamedValue]) {
        writeList(values) { buffer, value in
            buffer.writeText(value.name)
            buffer.writeLittle(value.value)
        }
    }
}

extension WireReader {
    fileprivate mutating func values() throws(WireError) -> [NamedValue] {
        try list(limit: 1_024) { (reader) throws(WireError) -> NamedValue in
            NamedValue(try reader.string(), try reader.integer())
        }
    }
}
