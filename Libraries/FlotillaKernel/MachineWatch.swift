import DequeModule
import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore

/// What the kernel does for a machine beside applying commands: timers, what it watches, and what it is still to be told.
/// None of it is replicated. What a leader has of it is gone when it leads no more.
struct MachineWatch {
    /// Whether the server leads.
    private(set) var leads = false
    /// When each timer fires.
    private var timers: [String: Instant] = [:]
    /// When the first does.
    private(set) var nextTimer: Instant?
    /// The sessions and nodes that the machine is told of.
    var sessions: Set<SessionID> = []
    var nodes: Set<NodeName> = []
    /// How many sessions had ended when those that are watched were last looked at; `nil` when they must be.
    var endsSeen: UInt64?
    /// Commands of the machine's own that wait until its leader can append.
    var unappended: [(command: ByteBuffer, reply: Effect.AppendReply)] = []
    /// What is to be put into the log for the machine as soon as that can be.
    var untold: [MachineEvent] = []
    /// What the server has become, for the machine to be told.
    var roles: [MachineRole] = []
    /// Sessions that get the replies to commands that the machine has appended, in the order of the log.
    var notifications = Deque<(index: LogIndex, session: SessionID, correlation: UInt64)>()

    /// Effects that are to be carried out, and whether some are at the moment: what comes of one may be more.
    var issued = Deque<Effects>()
    var isIssuing = false

    /// Whether something of it waits for the leader's log.
    var wantsLog: Bool { !untold.isEmpty || !unappended.isEmpty }

    mutating func set(_ timer: String, at instant: Instant?) {
        timers[timer] = instant
        nextTimer = timers.values.min()
    }

    /// Takes out the timers that fire by now, in the order of their times.
    mutating func takeDue(_ now: Instant) -> [String] {
        guard let nextTimer, nextTimer <= now else { return [] }
        let due = timers.filter { $0.value <= now }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        for (name, _) in due { timers[name] = nil }
        self.nextTimer = timers.values.min()
        return due.map(\.key)
    }

    /// The server has begun to lead, or leads no more: what only a leader has begins anew.
    mutating func changeLead(_ leads: Bool) {
        self.leads = leads
        endsSeen = nil
        unappended.removeAll()
        timers.removeAll()
        nextTimer = nil
        sessions.removeAll()
        nodes.removeAll()
        untold.removeAll()
        notifications.removeAll()
    }
}
