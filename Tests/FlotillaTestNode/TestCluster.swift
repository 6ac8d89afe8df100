import FlotillaMachine
import FlotillaWire
import NIOCore
import Synchronization

/// The identity and the members of a cluster that test nodes pretend to host, and the frames that they answer with.
public struct TestCluster: Sendable {
    public var id = ClusterID(high: 3, low: 3)
    public var name: ClusterName
    public var machine: String
    public var nodes: [TestNode]

    /// A cluster with a member on each of these nodes.
    public init(_ name: String = "kv", machine: String = "kv", on nodes: [TestNode]) throws {
        self.name = try ClusterName(name)
        self.machine = machine
        self.nodes = nodes
    }

    /// The identity of a node's member.
    public func uid(_ node: TestNode) -> ServerUID { ServerUID(high: 5, low: UInt64(node.address.port)) }

    /// The name of a node's member.
    public func server(_ node: TestNode) -> ServerID { ServerID(cluster: name, node: node.name) }

    /// The members.
    public var configuration: ClusterConfiguration {
        ClusterConfiguration(
            members: nodes.map { node in
                Member(
                    id: server(node), uid: uid(node), nodeID: NodeID(high: 7, low: UInt64(node.address.port)),
                    address: node.address)
            })
    }

    /// What a node answers to the question where the cluster is.
    public func located(at node: TestNode, leader: TestNode?, term: Term = 1) -> ClientResponse {
        .located(
            Located(
                cluster: id, machine: machine, local: uid(node), leader: leader.map(uid), term: term,
                configuration: configuration))
    }

    /// A `results` or `answers` frame.
    public func results(
        _ items: [(correlation: UInt64, index: LogIndex, reply: ByteBuffer)], from node: TestNode, term: Term = 1,
        as type: FrameType = .results
    ) -> Reaction {
        var buffer = ByteBuffer()
        buffer.writeFrame(type) { buffer in
            let start = buffer.writerIndex
            ResultBatch.begin(server: uid(node), term: term, into: &buffer)
            for item in items {
                buffer.writeLittle(item.correlation)
                buffer.writeLittle(item.index.rawValue)
                buffer.writeBlock(item.reply)
            }
            ResultBatch.setCount(items.count, from: start, in: &buffer)
        }
        return .bytes(buffer)
    }

    /// The script of a leader on a node, by default the first.
    public func leads(_ machine: some StateMachine, on node: TestNode? = nil) -> TestNode.Script {
        let leader = TestLeader(machine, of: self, on: node ?? nodes[0])
        return { leader.react(to: $0) }
    }

    /// A `rejections` frame.
    public func rejections(
        _ items: [Received.Item], _ code: FlotillaError.Code, from node: TestNode, leader: TestNode? = nil
    ) -> Reaction {
        var buffer = ByteBuffer()
        buffer.writeFrame(.rejections) { buffer in
            let error = FlotillaError(code, "the script says so", leader: leader.map(server))
            Rejections(server: uid(node), error: error, correlations: items.map(\.correlation)).encode(into: &buffer)
        }
        return .bytes(buffer)
    }
}

/// A leader that applies commands to a state machine at once, as if each were committed when it arrives. Sessions begin
/// at once and end never.
public final class TestLeader<Machine: StateMachine>: Sendable {
    private struct State: Sendable {
        var machine: Machine
        var sessions = SessionTable()
        /// The commands, the first at index 1.
        var log: [ByteBuffer] = []
        var index: LogIndex { LogIndex(UInt64(log.count)) }

        func answer(_ query: Machine.Query) -> Machine.Answer? {
            switch machine.lookUp(query, at: QueryContext(index: index, term: 1, machineVersion: 0)) {
            case .answer(let answer): answer
            case .read(let indexes, let then):
                then(ReadEntries(of: indexes, payloads: indexes.map { log[Int($0.rawValue) - 1] }))
            }
        }
    }

    private let state: Mutex<State>
    private let cluster: TestCluster
    private let node: TestNode

    /// A leader of a cluster on a node.
    public init(_ machine: Machine, of cluster: TestCluster, on node: TestNode) {
        state = Mutex(State(machine: machine))
        self.cluster = cluster
        self.node = node
    }

    /// The index of the last command.
    public var lastIndex: LogIndex { state.withLock { $0.index } }

    /// What a leader does about something that it receives.
    public func react(to received: Received) -> [Reaction] {
        switch received {
        case .hello: []
        case .commands(_, let items): [cluster.results(items.map(apply), from: node)]
        case .queries(_, _, let items): [cluster.results(items.map(answer), from: node, as: .answers)]
        case .request(let request): react(to: request)
        }
    }

    /// Applies a command.
    public func apply(_ item: Received.Item) -> (correlation: UInt64, index: LogIndex, reply: ByteBuffer) {
        state.withLock { state in
            // One that is not known was begun at the leader before.
            if let place = item.session, !state.sessions.contains(place.id) { state.sessions.register(place.id) }
            if let place = item.session, case .repeated(let reply, let index) = state.sessions.admit(place) {
                return (item.correlation, index, reply)
            }
            state.log.append(item.payload)
            var reply = ByteBuffer()
            var reader = WireReader(item.payload)
            var effects = Effects()
            let context = ApplyContext(
                index: state.index, term: 1, time: LeaderTime(nanosecondsSince1970: 0), machineVersion: 0)
            if let command = try? Machine.Command(from: &reader) {
                (try? state.machine.apply(command, at: context, effects: &effects))?.encode(into: &reply)
            }
            if let place = item.session {
                reply = state.sessions.keep(place, at: state.index) { $0.writeImmutableBuffer(reply) }
            }
            return (item.correlation, state.index, reply)
        }
    }

    private func answer(_ item: Received.Item) -> (correlation: UInt64, index: LogIndex, reply: ByteBuffer) {
        state.withLock { state in
            var reply = ByteBuffer()
            var reader = WireReader(item.body)
            if let query = try? Machine.Query(from: &reader) {
                state.answer(query)?.encode(into: &reply)
            }
            return (item.correlation, state.index, reply)
        }
    }

    private func beginSession() -> UInt64 {
        state.withLock { state in
            let id = UInt64(state.sessions.count) + 1
            state.sessions.register(id)
            return id
        }
    }

    private func react(to request: ClientRequest) -> [Reaction] {
        switch request {
        case .locate(cluster.name, _, _): [.respond(cluster.located(at: node, leader: node))]
        case .locate(let name, _, _): [.respond(.error(FlotillaError(.unknownCluster, "no cluster \(name) here")))]
        case .members:
            [
                .respond(
                    .memberList(
                        MemberList(
                            leader: cluster.server(node), term: 1, configuration: cluster.configuration,
                            matched: cluster.nodes.map { _ in lastIndex })))
            ]
        case .listClusters:
            [
                .respond(
                    .clusters(
                        ClusterPage(
                            clusters: [
                                ClusterPage.Cluster(
                                    id: cluster.id, name: cluster.name, machine: cluster.machine,
                                    leader: cluster.server(node), members: cluster.nodes.map(cluster.server))
                            ], more: false)))
            ]
        case .startCluster(let request):
            [
                .respond(
                    .clusterStarted(
                        ClusterStarted(
                            cluster: request.cluster, leader: ServerID(cluster: request.name, node: request.nodes[0]),
                            started: request.nodes.map { ServerID(cluster: request.name, node: $0) }, notStarted: [])))
            ]
        case .overview:
            [
                .respond(
                    .nodeOverview(
                        NodeOverview(
                            node: Hello.Node(
                                id: NodeID(high: 7, low: 1), name: node.name, incarnation: Incarnation(1),
                                address: node.address),
                            values: [NamedValue("wal_syncs_total", 4)], peers: [], servers: [])))
            ]
        case .changeMembers:
            [
                .respond(
                    .memberChanged(
                        MemberChanged(
                            member: cluster.uid(node), index: 9, term: 2, leader: cluster.server(node))))
            ]
        case .openSession: [.respond(.sessionOpened(SessionOpened(id: beginSession(), leaseMilliseconds: 60_000)))]
        case .auxCommand(_, let command, waits: true): [.respond(.auxReply(command))]
        case .transferLeadership, .triggerElection, .takeSnapshot, .keepSessions, .endSessions, .auxCommand,
            .deleteCluster:
            [.respond(.done)]
        }
    }
}
