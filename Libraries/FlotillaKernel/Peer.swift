import FlotillaConsensus
import FlotillaWire

/// Another node as this one knows it: by name and address from a setting, by identity once it said hello.
final class Peer {
    let name: NodeName
    var address: NodeAddress
    /// Its identity and how often it was started; `nil` while it is only a name and an address.
    var id: NodeID?
    var incarnation = Incarnation(0)
    /// The connection in use, once both sides have said hello.
    var link: Link?
    /// A second connection that was opened at the same time; used when the first is closed.
    var standby: [Link] = []
    /// Whether it is up: connected and not silent for too long.
    var isUp = false
    var detector: FailureDetector

    /// Where a setting says that it is, if that is elsewhere than it was last: tried in turn.
    var seedAddress: NodeAddress?
    /// Whether it said that it is stopping; only a new connection takes that back.
    var isLeaving = false

    /// Dialling: the number of the attempt that is under way.
    var dial: UInt64?
    var isDialling: Bool { dial != nil }
    var nextDial: Instant
    var dialFailures = 0

    /// When it last answered, or could not have yet: whoever is heard but never answers does not hear this node.
    var lastAnswer: Instant
    /// Signs of life.
    var nextPing: Instant
    var pingSequence: UInt64 = 0
    var digestMismatches = 0

    /// The machines that it has, and the versions of each that it can run, as it said last.
    var machines: [String: ClosedRange<MachineVersion>] = [:]

    /// The sum over shared clusters that pings carry, and how many they are.
    var digest: UInt64 = 0
    var sharedServers: [HostedServer] = []
    /// Servers that should share their cluster with that node, which does not speak of it; not in the sum until then.
    var setAside: [(server: HostedServer, until: Instant)] = []
    /// All servers that have a member on that node as far as they know.
    var concernedServers: [HostedServer] { sharedServers + setAside.map(\.server) }
    /// The servers of the other side's list whose last page has not come yet.
    var listed: Set<ServerUID> = []

    var counters = PeerCounters()

    init(name: NodeName, address: NodeAddress, configuration: KernelConfiguration, now: Instant) {
        self.name = name
        self.address = address
        detector = FailureDetector(
            floor: configuration.suspicionFloor, ceiling: configuration.suspicionCeiling,
            interval: configuration.pingInterval, now: now)
        nextDial = now
        nextPing = now
        lastAnswer = now
    }
}

/// What is counted of another node.
struct PeerCounters {
    var framesReceived: UInt64 = 0
    var connections: UInt64 = 0
    var suspicions: UInt64 = 0
    var leadershipLists: UInt64 = 0

    var values: [NamedValue] {
        [
            NamedValue("frames_received_total", framesReceived),
            NamedValue("connections_total", connections),
            NamedValue("suspicions_total", suspicions),
            NamedValue("leadership_lists_total", leadershipLists),
        ]
    }
}
