import FlotillaWire

/// What `cluster start` prints as JSON.
struct StartedView: Encodable {
    var cluster: String
    var leader: String
    var started: [String]
    var not_started: [String]

    init(_ started: ClusterStarted) {
        cluster = started.cluster.description
        leader = started.leader.description
        self.started = started.started.map(\.description)
        not_started = started.notStarted.map(\.description)
    }
}

/// What `cluster list` prints as JSON for each cluster.
struct ClusterView: Encodable {
    var id: String
    var name: String
    var machine: String
    var leader: String?
    var members: [String]

    init(_ cluster: ClusterPage.Cluster) {
        id = cluster.id.description
        name = cluster.name.description
        machine = cluster.machine
        leader = cluster.leader?.description
        members = cluster.members.map(\.description)
    }
}

/// What `leader` prints as JSON.
struct LeaderView: Encodable {
    var leader: String
    var term: UInt64
}

/// What `member list` prints as JSON.
struct MembersView: Encodable {
    struct Member: Encodable {
        var id: String
        var node: String
        var uid: String
        var role: String
        var address: String
        var matched: UInt64
    }

    var leader: String
    var term: UInt64
    var members: [Member]

    init(_ list: MemberList) {
        leader = list.leader.description
        term = list.term.rawValue
        members = list.configuration.members.enumerated().map { position, member in
            Member(
                id: member.id.description, node: member.id.node.description, uid: member.uid.description,
                role: member.role.text, address: member.address.description,
                matched: position < list.matched.count ? list.matched[position].rawValue : 0)
        }
    }
}

/// What `member add` and `member remove` print as JSON.
struct MemberChangedView: Encodable {
    var uid: String
    var index: UInt64
    var term: UInt64
    var leader: String

    init(_ changed: MemberChanged) {
        uid = changed.member.description
        index = changed.index.rawValue
        term = changed.term.rawValue
        leader = changed.leader.description
    }
}

extension MemberRole {
    /// The role's name in lower case with underscores.
    fileprivate var text: String {
        switch self {
        case .voter: "voter"
        case .nonVoter: "non_voter"
        case .promotable: "promotable"
        }
    }
}

/// What `overview` prints as JSON.
struct OverviewView: Encodable {
    struct Peer: Encodable {
        var name: String
        var address: String
        var up: Bool
        var values: [String: UInt64]
    }

    struct Server: Encodable {
        var id: String
        var uid: String
        var cluster: String
        var machine: String
        var state: String
        var leader: String?
        var note: String
        var values: [String: UInt64]
    }

    var node: String
    var id: String
    var incarnation: UInt64
    var address: String
    var values: [String: UInt64]
    var peers: [Peer]
    var servers: [Server]

    init(_ overview: NodeOverview) {
        node = overview.node.name.description
        id = overview.node.id.description
        incarnation = overview.node.incarnation.rawValue
        address = overview.node.address.description
        values = overview.values.byName
        peers = overview.peers.map {
            Peer(
                name: $0.name.description, address: $0.address.description, up: $0.isUp, values: $0.values.byName)
        }
        servers = overview.servers.map {
            Server(
                id: $0.id.description, uid: $0.uid.description, cluster: $0.cluster.description, machine: $0.machine,
                state: $0.state, leader: $0.leader?.description, note: $0.note, values: $0.values.byName)
        }
    }
}

extension [NamedValue] {
    fileprivate var byName: [String: UInt64] {
        [String: UInt64](map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    }
}
