import DequeModule
import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The heart of a node: every server, its machine and its timers, the other nodes and the clients, as one synchronous
/// thing that never waits, never reads a clock and never touches a socket or a file.
///
/// Whoever runs it tells it what happened (`receive`, `walCompleted`, `advance`, …), calls `endTurn` once everything
/// that was there has been told, and then does what `output` says. The same kernel runs in a node and in a simulator.
///
/// Not thread-safe: one thread owns it.
public final class Kernel {
    /// What whoever runs the kernel must do at the end of a turn.
    public struct Output {
        /// Records for the write-ahead log, in order.
        public var records: [WALRecord] = []
        /// Connections with something to send; `Link.drain` hands it over.
        public var links: [Link] = []
        /// Nodes to connect to. Each is answered by `connected` or `connectFailed`.
        public var dials: [Dial] = []
        /// Background jobs on the files of servers. Each is answered by `jobEnded`.
        package var jobs: [StorageJob] = []
        /// Handlers that machines want called, in order.
        public var calls: [HandlerCall] = []
        /// Why the node must end, when it must: its disk can't be relied upon.
        public var failure: StorageError?
        /// Events worth a line in the log of the process.
        public var events: [KernelEvent] = []
    }

    /// A node to connect to.
    public struct Dial: Sendable {
        /// Tells the attempt from others.
        let number: UInt64
        /// The node's name.
        public let name: NodeName
        /// Where.
        public let address: NodeAddress
    }

    let identity: Hello.Node
    let configuration: KernelConfiguration
    let registry: MachineRegistry
    var random: SplitMix64

    var now: Instant
    /// The wall clock in nanoseconds since 1970, for entries; told with every input.
    var wallClock: UInt64

    var servers: [HostedServer?] = []
    var freeSlots: [Int] = []
    var serversByUID: [ServerUID: HostedServer] = [:]
    var serversByCluster: [ClusterID: HostedServer] = [:]
    var serversByName: [ClusterName: HostedServer] = [:]
    var dirtyServers: [HostedServer] = []
    var deadlines = DeadlineHeap()

    var links = LinkTable()
    var dialNumber: UInt64 = 0
    var peers: [Peer] = []
    var peersByID: [NodeID: Peer] = [:]

    var starts: [ClusterID: ClusterStart] = [:]
    /// Clusters whose server was deleted here: they are not started here again, but a new member may join one.
    var deletedClusters: Set<ClusterID> = []
    /// Of those, the ones that were deleted as a whole, and with which entry.
    var endedClusters: [ClusterID: PeerMessage.DeletedCluster] = [:]
    /// The servers of which clusters end, or somebody has asked for that.
    var endingServers: [HostedServer] = []
    /// Servers that were deleted here; their identities are never used again.
    var deletedServers: Set<ServerUID> = []
    /// The servers of this node that are not whole any more.
    var lost: [ServerUID: LostServer] = [:]
    /// The servers of which members on other nodes are not whole any more.
    var serversWithLostMembers: [HostedServer] = []
    /// Starts of servers on this node that wait until their record is durable.
    var durableStarts: [ServerUID: [RequestTicket]] = [:]

    var jobs: [UInt64: PendingJob] = [:]
    var jobNumber: UInt64 = 0
    /// The log files that get no more batches and that some server needs still, oldest first.
    var closedFiles: Deque<WALFileContents>
    /// When to begin again for what there was no room.
    var retryWritesAt: Instant?
    var serversInRepair: [HostedServer] = []
    /// When the first server is to ask again for what could not be read.
    var nextReadAgain: Instant?

    var nextHousekeeping: Instant
    var nextRecording: Instant
    var walStatus = WALStatus()
    var disk: DiskWatch
    var memoryBytes = 0
    var isStopping = false
    var counters = NodeCounters()
    var replies = Replies()
    var scratch = Actions()

    /// What is to be done; taken by whoever runs the kernel after `endTurn`.
    public var output = Output()

    /// Takes up every server that recovery found.
    ///
    /// - Parameters:
    ///   - identity: who this node is, with the incarnation of this start.
    ///   - seeds: other nodes that are known by setting only.
    ///   - seed: of all randomness: jitter and new identities.
    /// A server whose machine is not registered, or refuses its configuration, is halted, and one whose log contradicts
    /// itself is lost; the others are not touched.
    ///
    public init(
        identity: Hello.Node, configuration: KernelConfiguration, registry: MachineRegistry,
        seeds: [(name: NodeName, address: NodeAddress)], recovered: RecoveredNode, seed: UInt64, now: Instant,
        wallClock: UInt64
    ) {
        self.identity = identity
        self.configuration = configuration
        self.registry = registry
        random = SplitMix64(seed: seed)
        self.now = now
        self.wallClock = wallClock
        disk = DiskWatch(now: now)
        closedFiles = Deque(recovered.closedFiles)
        nextHousekeeping = now
        nextRecording = now + .seconds(1)
        for peer in recovered.peers where peer.nodeID != identity.id { adopt(peer) }
        for seed in seeds where seed.name != identity.name {
            let peer = learn(seed.name, at: seed.address)
            if peer.address != seed.address { peer.seedAddress = seed.address }
        }
        deletedClusters = Set(recovered.tombstones.map(\.clusterID))
        deletedServers = Set(recovered.tombstones.map(\.uid))
        for tombstone in recovered.tombstones { takeUp(tombstone) }
        for server in recovered.lost { takeLost(server, because: server.damage?.description) }
        for server in recovered.servers { takeUp(server) }
        counters.serversRecovered = UInt64(recovered.servers.count)
        flushRecovered()
        // Whoever deleted them was killed before their files were gone.
        for uid in recovered.deletedDirectories { start(.removeServer, of: uid, .chore) }
    }

    /// The servers of this node, for whoever watches over a simulated one. Nothing of them may be changed.
    package var hostedServers: [HostedServer] { servers.compactMap { $0 } }

    /// Lets go of everything, since servers, nodes and connections hold on to each other; the last that is done with a
    /// kernel.
    package func takeApart() {
        for server in hostedServers {
            server.members.removeAll()
            server.sharers.removeAll()
            server.strangers.removeAll()
        }
        for peer in peers {
            peer.link = nil
            peer.standby.removeAll()
            peer.sharedServers.removeAll()
            peer.setAside.removeAll()
        }
        for link in links.all { link.lastServer = nil }
    }

    /// Takes what is to be done, all at once.
    package func takeOutput() -> Output {
        defer { output = Output() }
        return output
    }

    /// Asks a leader to hand over, as a client's request does.
    package func transferLeadership(of server: HostedServer, to target: ServerUID) {
        step(server, .transferLeadership(to: target, giveUpAt: now + .seconds(2)))
    }

    /// Makes a server campaign, as a client's request does.
    package func triggerElection(of server: HostedServer) { step(server, .triggerElection) }

    /// When `advance` is wanted next.
    public var deadline: Instant {
        min(nextHousekeeping, deadlines.earliest ?? nextHousekeeping)
    }

    /// Tells the kernel the time. Everything that is told afterwards happened then.
    ///
    /// - Parameter wallClock: nanoseconds since 1970; used for entries and nothing that decides.
    public func setTime(_ now: Instant, wallClock: UInt64) {
        self.now = max(self.now, now)
        self.wallClock = wallClock
    }

    /// Does what is due.
    public func advance() {
        while let due = deadlines.popDue(now) {
            guard let server = servers[due.slot], server.armedDeadline == due.instant else { continue }
            server.armedDeadline = nil
            fireTimers(of: server)
            if let deadline = server.core.deadline, deadline <= now { step(server, .tick) } else { arm(server) }
        }
        if nextHousekeeping <= now { keepHouse() }
    }

    /// Tells the kernel what the write-ahead log has made durable.
    public func walCompleted(_ notices: [DurableNotice], status: WALStatus) {
        walStatus = status
        disk.completed(status, at: now, limit: configuration.diskStallLimit)
        for notice in notices {
            switch notice {
            case .entries(let uid, let epoch, let index, _):
                if let server = serversByUID[uid] { step(server, .entriesDurable(epoch: epoch, through: index)) }
            case .hardState(let uid, let state):
                guard let server = serversByUID[uid] else { continue }
                step(server, .hardStateDurable(state))
                installIfWhole(server)
            case .serverCreated(let uid): serverIsDurable(uid)
            case .serverDeleted(let uid): start(.removeServer, of: uid, .chore)
            case .snapshotFloor(let uid, let index):
                if let server = serversByUID[uid] { floorIsDurable(server, index) }
            case .fileClosed(let contents): logFileClosed(contents)
            case .peer: break
            }
        }
    }

    /// Ends the turn: what the servers have gathered is put into `output`, which must be emptied before the next.
    ///
    /// - Returns: whether some server has more to apply, so that another turn should follow soon.
    public func endTurn() -> Bool {
        var more = false
        var position = 0
        // A machine's effects may make a server dirty again, which appends to the list.
        while position < dirtyServers.count {
            let server = dirtyServers[position]
            position += 1
            server.isDirty = false
            if server.isDeleted { continue }
            if finishTurn(of: server) { more = true }
        }
        dirtyServers.removeAll(keepingCapacity: true)
        disk.handOver(output.records.count, at: now)
        if more { markUnfinished() }
        return more
    }

    private func finishTurn(of server: HostedServer) -> Bool {
        appendUntold(of: server)
        seal(server)
        if server.core.needsFlush {
            var actions = takeScratch()
            server.core.flush(log: LogView(server), now: now, actions: &actions)
            perform(&actions, for: server)
            refreshStanding(of: server)
        }
        tellRoles(of: server)
        let more = applyCommitted(server)
        answerDisplaced(of: server)
        answerChanges(of: server)
        answerSessions(of: server)
        if leaveIfOver(server) { return false }
        arm(server)
        return more
    }

    private func markUnfinished() {
        for case let server? in servers where hasMoreToApply(server) {
            markDirty(server)
        }
    }

    func markDirty(_ server: HostedServer) {
        guard !server.isDirty else { return }
        server.isDirty = true
        dirtyServers.append(server)
    }

    func markDirty(_ link: Link) {
        guard !link.isDirty else { return }
        link.isDirty = true
        output.links.append(link)
    }

    /// Enters the server's deadline when it is closer than the one that stands in the heap.
    func arm(_ server: HostedServer) {
        let timer = server.watch.nextTimer
        guard let deadline = server.core.deadline.map({ min($0, timer ?? $0) }) ?? timer else { return }
        if let armed = server.armedDeadline, armed <= deadline { return }
        server.armedDeadline = deadline
        deadlines.insert(deadline, slot: server.slot)
    }

    func takeScratch() -> Actions {
        var actions = Actions()
        swap(&actions, &scratch)
        return actions
    }

    func returnScratch(_ actions: inout Actions) {
        actions.removeAll()
        swap(&actions, &scratch)
    }
}

/// What is counted of the node as a whole.
struct NodeCounters {
    var framesReceived: UInt64 = 0
    var unknownFrames: UInt64 = 0
    var refusedConnections: UInt64 = 0
    var brokenFrames: UInt64 = 0
    var unknownServerMessages: UInt64 = 0
    var serversRecovered: UInt64 = 0
}
