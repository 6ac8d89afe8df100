import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// One server of this node: its consensus, its log in memory, its machine, and whoever waits for something of it.
///
/// A final class that the kernel owns, so that nothing is copied when a part of it changes.
package final class HostedServer {
    /// Where in the kernel's table it stands.
    let slot: Int
    package let creation: ServerCreation
    package internal(set) var core: RaftServer
    package let table: MemoryTable
    package internal(set) var machine: HostedMachine
    package internal(set) var storage: ServerStorage

    /// The entries that this turn has made or received and that are in neither the table nor the log yet.
    var open = OpenBatch()
    /// The clock in the newest entry; the next may not be earlier.
    var lastEntryTime: UInt64 = 0

    package internal(set) var applied: LogIndex = .zero
    var appliedTerm: Term = .zero
    package internal(set) var machineVersion: MachineVersion = 0
    /// Where the last entry stands by which this leader has raised it.
    var versionProposedAt: LogIndex = .zero
    /// Up to here everything was applied before the last restart: effects are not issued again.
    let replayedThrough: LogIndex
    /// The last-applied index that was written to the log of the node.
    var recordedApplied: LogIndex
    /// Why the machine applies nothing more.
    package internal(set) var failure: MachineFailure?

    var pending = PendingReplies()
    var displaced = DisplacedReplies()
    var reads = WaitingReads()
    var locateWaiters: [RequestTicket] = []
    var transferWaiter: RequestTicket?
    /// Who waits for the cluster to be deleted.
    var endWaiters: [RequestTicket] = []
    /// When this server had applied the entry that ends the cluster.
    var endedAt: Instant?
    /// Who waits for a snapshot through an index.
    var snapshotWaiters: [(index: LogIndex, ticket: RequestTicket)] = []
    /// Who waits for a change of the members to be committed.
    var changeWaiters: [(change: MemberChanged, ticket: RequestTicket)] = []
    /// What is known of the clients of its sessions while it leads.
    var sessions = SessionWatch()
    /// What its machine watches and waits for.
    var watch = MachineWatch()
    /// How it last tried to leave its place as the leader because of the node's disk.
    var handOver: HandOver?

    /// The other members, in the order of the configuration, and the leader if it is none.
    var members: [MemberLink] = []
    /// Servers that sent something without being members as far as this server knows, and their nodes.
    var strangers: [ServerUID: Peer] = [:]
    /// The nodes that it shares its cluster with.
    var sharers: [Peer] = []
    /// What the server adds to the digests of those.
    var digestShare: UInt64 = 0
    /// Members that are not whole any more, as their nodes say.
    var lostMembers: [ServerUID] = []
    /// Whether the kernel has taken note that the server was removed from its cluster.
    var isNotedRemoved = false

    /// Whether the kernel has it on its list for the end of the turn.
    var isDirty = false
    /// The deadline that stands in the kernel's heap.
    var armedDeadline: Instant?
    /// Whether it must not lead, because something of its node is not as it must be.
    var isBarred = false
    /// Set when the server is deleted, for whoever still holds it.
    var isDeleted = false
    package var counters = ServerCounters()

    init(
        slot: Int, creation: ServerCreation, core: RaftServer, table: MemoryTable, machine: HostedMachine,
        storage: ServerStorage, replayedThrough: LogIndex
    ) {
        self.slot = slot
        self.creation = creation
        self.core = core
        self.table = table
        self.machine = machine
        self.storage = storage
        self.replayedThrough = replayedThrough
        recordedApplied = replayedThrough
    }

    package var uid: ServerUID { creation.uid }

    /// The name of a member by its storage identity.
    func name(of uid: ServerUID?) -> ServerID? { uid.flatMap { core.configuration.member($0)?.id } }
}

/// Another member of a server's cluster and the node that it lives on.
struct MemberLink {
    var uid: ServerUID
    var peer: Peer?
}

/// Entries on their way into the log: encoded once, back to back.
struct OpenBatch {
    var bytes = ByteBuffer()
    var first: LogIndex = .zero
    var count = 0
    /// The term of the last of them.
    var lastTerm: Term = .zero
    /// The log's epoch when the first of them was added. A truncation seals the batch, so it holds for all.
    var epoch = LogEpoch.zero

    var isEmpty: Bool { count == 0 }
}

/// Who is to be answered, for requests that wait.
struct RequestTicket {
    var link: LinkID
    var correlation: UInt64
    var deadline: Instant
}

/// Consistent queries that wait: first for the leader's word, then until its index is applied here.
struct WaitingReads {
    /// The queries of one frame.
    struct Ticket {
        var link: LinkID
        var body: ByteBuffer
        /// When it is given up, so that nothing waits for ever where no answer comes.
        var deadline: Instant
    }

    /// By the token that the consensus knows them by.
    private var asked: [UInt64: Ticket] = [:]
    private var nextToken: UInt64 = 0
    /// Those whose index is known, in rising order of index.
    private var ready: [(index: LogIndex, ticket: Ticket)] = []

    var isEmpty: Bool { ready.isEmpty }
    var count: Int { asked.count + ready.count }

    mutating func add(_ ticket: Ticket) -> UInt64 {
        nextToken += 1
        asked[nextToken] = ticket
        return nextToken
    }

    mutating func take(_ token: UInt64) -> Ticket? { asked.removeValue(forKey: token) }

    mutating func wait(_ ticket: Ticket, until index: LogIndex) {
        let position = ready.lastIndex { $0.index <= index }.map { $0 + 1 } ?? 0
        ready.insert((index, ticket), at: position)
    }

    mutating func takeReady(through applied: LogIndex) -> [Ticket] {
        let count = ready.prefix { $0.index <= applied }.count
        let tickets = ready.prefix(count).map(\.ticket)
        ready.removeFirst(count)
        return tickets
    }

    /// Takes all whose time is over, in the order in which they came.
    mutating func takeLate(_ now: Instant) -> [Ticket] {
        let late = asked.filter { $0.value.deadline <= now }.keys.sorted()
        let tickets =
            late.compactMap { asked.removeValue(forKey: $0) } + ready.map(\.ticket).filter { $0.deadline <= now }
        ready.removeAll { $0.ticket.deadline <= now }
        return tickets
    }

    /// Takes all that wait for the index, because the server will never apply it.
    mutating func takeAllReady() -> [Ticket] {
        defer { ready.removeAll() }
        return ready.map(\.ticket)
    }
}

/// What is counted of a server: plain numbers, read by the overview.
package struct ServerCounters {
    package var commands: UInt64 = 0
    var commandBytes: UInt64 = 0
    var rejectedCommands: UInt64 = 0
    var busyRejections: UInt64 = 0
    var queries: UInt64 = 0
    package var consistentQueries: UInt64 = 0
    var appendsSent: UInt64 = 0
    var appendsReceived: UInt64 = 0
    var entriesReceived: UInt64 = 0
    package var entriesApplied: UInt64 = 0
    package var elections: UInt64 = 0
    package var preVotes: UInt64 = 0
    package var leaderChanges: UInt64 = 0
    package var truncations: UInt64 = 0
    package var snapshotsWritten: UInt64 = 0
    package var snapshotsInstalled: UInt64 = 0
    package var segmentsWritten: UInt64 = 0
    package var segmentsRemoved: UInt64 = 0
    package var segmentsRewritten: UInt64 = 0
    package var entriesFetched: UInt64 = 0
    package var failedReads: UInt64 = 0
    package var entriesRepaired: UInt64 = 0
    package var leadershipsLeft: UInt64 = 0
    package var machineEvents: UInt64 = 0
    package var sessionEvents: UInt64 = 0
    package var droppedSessionEvents: UInt64 = 0
    var auxCommands: UInt64 = 0

    var values: [NamedValue] {
        [
            NamedValue("commands_total", commands),
            NamedValue("command_bytes_total", commandBytes),
            NamedValue("rejected_commands_total", rejectedCommands),
            NamedValue("busy_rejections_total", busyRejections),
            NamedValue("queries_total", queries),
            NamedValue("consistent_queries_total", consistentQueries),
            NamedValue("appends_sent_total", appendsSent),
            NamedValue("appends_received_total", appendsReceived),
            NamedValue("entries_received_total", entriesReceived),
            NamedValue("entries_applied_total", entriesApplied),
            NamedValue("elections_total", elections),
            NamedValue("pre_votes_total", preVotes),
            NamedValue("leader_changes_total", leaderChanges),
            NamedValue("truncations_total", truncations),
            NamedValue("snapshots_written_total", snapshotsWritten),
            NamedValue("snapshots_installed_total", snapshotsInstalled),
            NamedValue("segments_written_total", segmentsWritten),
            NamedValue("segments_removed_total", segmentsRemoved),
            NamedValue("entries_read_from_segments_total", entriesFetched),
            NamedValue("failed_reads_total", failedReads),
            NamedValue("entries_repaired_total", entriesRepaired),
            NamedValue("segments_rewritten_total", segmentsRewritten),
            NamedValue("leaderships_left_for_disk_total", leadershipsLeft),
            NamedValue("machine_events_total", machineEvents),
            NamedValue("session_events_total", sessionEvents),
            NamedValue("dropped_session_events_total", droppedSessionEvents),
            NamedValue("aux_commands_total", auxCommands),
        ]
    }
}
