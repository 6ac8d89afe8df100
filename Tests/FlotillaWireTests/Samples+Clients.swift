import FlotillaWire
import NIOCore

extension Sample {
    /// What passes between a client and a node from the first byte to the first result, in this order.
    static let session: [Sample] = [
        Sample("hello-client", "the first frame of a client", .hello(Hello(role: .client(0x0102_0304_0506_0708)))),
        Sample("welcome-server", "the answer of node n1", .welcome(Hello(role: .server(node(1))))),
        Sample(
            "locate", "where is cluster kv? wait up to 5 seconds for a leader", correlation: 1,
            .request(.locate(cluster: clusterName, waits: true, timeoutMilliseconds: 5_000))),
        Sample(
            "located", "cluster kv has three voters, the server on n1 leads it in term 5", correlation: 1,
            .response(
                .located(
                    Located(
                        cluster: cluster, machine: "kv", local: uid(1), leader: uid(1), term: 5,
                        configuration: configuration)))),
        Sample(
            "commands", "two commands for the server on n1: put greeting = hello, delete farewell",
            .commands(
                target: uid(1),
                [
                    Message.Item(correlation: 2, body: command(put)),
                    Message.Item(correlation: 3, body: command(delete)),
                ])),
        Sample(
            "results", "both are applied, at index 17 and 18: stored, and not found",
            .results(
                server: uid(1), term: 5,
                [
                    Message.Result(correlation: 2, index: 17, reply: ByteBuffer(bytes: [1])),
                    Message.Result(correlation: 3, index: 18, reply: ByteBuffer(bytes: [3])),
                ])),
    ]

    static let work: [Sample] = [
        Sample("commands-none", "a frame without commands", .commands(target: uid(2), [])),
        Sample(
            "commands-prefixes", "commands with a session, with an origin, with both; nobody waits for the last",
            .commands(
                target: uid(2),
                [
                    CommandPrefix(replyMode: .leader, session: .init(id: 9, serial: 8, lowestOpenSerial: 7)),
                    CommandPrefix(replyMode: .local, origin: .init(client: 11, correlation: 12)),
                    CommandPrefix(
                        replyMode: .none, session: .init(id: 1, serial: 2, lowestOpenSerial: 2),
                        origin: .init(client: 3, correlation: 4)),
                ].enumerated().map { Message.Item(correlation: UInt64($0), body: command(put, $1)) })),
        Sample("results-none", "a frame without results", .results(server: uid(2), term: 6, [])),
        Sample(
            "rejections", "two commands were sent to a follower, which names the leader",
            .rejections(
                Rejections(
                    server: uid(2),
                    error: FlotillaError(.notLeader, "kv@n2 does not lead; kv@n1 does", leader: server(1)),
                    correlations: [2, 3]))),
        Sample(
            "rejections-unknown", "the outcome of a command is unknown, and so is the leader",
            .rejections(
                Rejections(
                    server: uid(2), error: FlotillaError(.outcomeUnknown, "the leader is gone"), correlations: [4]))),
        Sample(
            "queries", "one consistent query, which gets greeting",
            .queries(
                target: uid(1), .consistent,
                [
                    Message.Item(
                        correlation: 5, body: ByteBuffer(bytes: [1, 8, 0, 0, 0] + Array("greeting".utf8)))
                ])),
        Sample(
            "queries-local", "two queries that any server may answer, one without a byte",
            .queries(
                target: uid(3), .local,
                [
                    Message.Item(correlation: 6, body: ByteBuffer(bytes: [3])),
                    Message.Item(correlation: 7, body: ByteBuffer()),
                ])),
        Sample(
            "answers", "the value of greeting, put at index 17, from a state that goes to index 18",
            .answers(
                server: uid(1), term: 5,
                [
                    Message.Result(
                        correlation: 5, index: 18,
                        reply: ByteBuffer(bytes: [1] + put.dropFirst() + [17, 0, 0, 0, 0, 0, 0, 0]))
                ])),
    ]

    static let requests: [Sample] = [
        Sample(
            "start-cluster", "start cluster kv with the key-value machine on n1, n2, n3", correlation: 21,
            .request(
                .startCluster(
                    ClientRequest.StartCluster(
                        cluster: cluster, name: clusterName, machine: "kv",
                        machineConfiguration: ByteBuffer(string: "settings"),
                        nodes: [node(1).name, node(2).name, node(3).name], timeoutMilliseconds: 10_000)))),
        Sample("list-clusters", "the first clusters of a node", correlation: 22, .request(.listClusters(after: nil))),
        Sample(
            "list-clusters-after", "the clusters after kv", correlation: 23,
            .request(.listClusters(after: clusterName))),
        Sample("members", "the members as the leader sees them", correlation: 24, .request(.members(uid(1)))),
        Sample("overview", "everything that a node counts", correlation: 25, .request(.overview)),
        Sample(
            "transfer-leadership", "hand leadership to the member on n2", correlation: 26,
            .request(.transferLeadership(uid(1), to: node(2).name, timeoutMilliseconds: 3_000))),
        Sample("trigger-election", "start an election", correlation: 27, .request(.triggerElection(uid(2)))),
        Sample(
            "take-snapshot", "take a snapshot within three seconds", correlation: 28,
            .request(.takeSnapshot(uid(2), timeoutMilliseconds: 3_000))),
        Sample(
            "add-member", "add a member on n4 that is to vote, and wait until that is committed", correlation: 29,
            .request(
                .changeMembers(
                    uid(1), .add(on: node(4).name, .promotable(target: .zero)), waits: true,
                    timeoutMilliseconds: 3_000))),
        Sample(
            "open-session", "begin a session within three seconds, for a client at n2", correlation: 31,
            .request(.openSession(uid(1), home: node(2).name, timeoutMilliseconds: 3_000))),
        Sample(
            "aux-command", "tell the member's own part of the machine \"x\", and wait for what it replies",
            correlation: 34, .request(.auxCommand(uid(1), ByteBuffer(string: "x"), waits: true))),
        Sample(
            "keep-sessions", "the client of two sessions lives", correlation: 32,
            .request(.keepSessions(uid(1), [17, 90]))),
        Sample(
            "end-sessions", "the client of a session needs it no more", correlation: 33,
            .request(.endSessions(uid(1), [17]))),
        Sample(
            "remove-member", "remove the member on n2", correlation: 30,
            .request(.changeMembers(uid(1), .remove(server(2)), waits: false, timeoutMilliseconds: 3_000))),
        Sample(
            "delete-cluster", "delete the cluster within three seconds", correlation: 29,
            .request(.deleteCluster(uid(1), timeoutMilliseconds: 3_000))),
    ]

    static let responses: [Sample] = [
        Sample(
            "error", "there is no such cluster", correlation: 1,
            .response(.error(FlotillaError(.unknownCluster, "node n1 has no member of cluster kv")))),
        Sample(
            "error-leader", "an error that names the leader", correlation: 24,
            .response(.error(FlotillaError(.notLeader, "ask kv@n1", leader: server(1))))),
        Sample(
            "located-no-leader", "no leader is known; members of all roles", correlation: 1,
            .response(
                .located(
                    Located(
                        cluster: cluster, machine: "counter", local: uid(2), leader: nil, term: 0,
                        configuration: mixedConfiguration)))),
        Sample(
            "cluster-started", "two of three members run", correlation: 21,
            .response(
                .clusterStarted(
                    ClusterStarted(
                        cluster: cluster, leader: server(1), started: [server(1), server(2)],
                        notStarted: [server(3)])))),
        Sample(
            "clusters", "a page of two clusters, more follow", correlation: 22,
            .response(
                .clusters(
                    ClusterPage(
                        clusters: [
                            ClusterPage.Cluster(
                                id: cluster, name: clusterName, machine: "kv", leader: server(1),
                                members: [server(1), server(2), server(3)]),
                            ClusterPage.Cluster(
                                id: ClusterID(high: 0, low: 1), name: clusterName("zähler"), machine: "counter",
                                leader: nil, members: [server(2)]),
                        ], more: true)))),
        Sample(
            "member-list", "three members and how far each has come", correlation: 24,
            .response(
                .memberList(
                    MemberList(
                        leader: server(1), term: 5, configuration: mixedConfiguration, matched: [18, 18, 12])))),
        Sample(
            "node-overview", "a node with one peer that is down and two servers, one of them halted",
            correlation: 25, .response(.nodeOverview(overview))),
        Sample("done", "a request is carried out", correlation: 26, .response(.done)),
        Sample(
            "aux-reply", "the member's own part replied \"yes\"", correlation: 34,
            .response(.auxReply(ByteBuffer(string: "yes")))),
        Sample(
            "session-events", "session 41 gets an event of the machine, a reply to what it appended, and a farewell",
            .events(
                SessionEvents(
                    server: uid(1), session: SessionID(41),
                    events: [
                        .message(ByteBuffer(string: "hello"), .event),
                        .applied(correlation: 7, index: 90, reply: ByteBuffer(string: "done")), .deposed,
                    ]))),
        Sample(
            "session-opened", "session 41, which lives for a minute without a sign", correlation: 31,
            .response(.sessionOpened(SessionOpened(id: 41, leaseMilliseconds: 60_000)))),
        Sample(
            "member-changed", "the change stands at index 40 of the log", correlation: 29,
            .response(.memberChanged(MemberChanged(member: uid(4), index: 40, term: 7, leader: server(1))))),
    ]

    private static let overview = NodeOverview(
        node: node(1), values: [NamedValue("frames_received_total", 12), NamedValue("memory_bytes", .max)],
        peers: [
            NodeOverview.Peer(
                name: node(2).name, address: node(2).address, isUp: false, values: [NamedValue("pings_total", 1)])
        ],
        servers: [
            NodeOverview.Server(
                id: server(1), uid: uid(1), cluster: clusterName, machine: "kv", state: "leader",
                leader: server(1), note: "", values: [NamedValue("term", 5)]),
            NodeOverview.Server(
                id: server(1), uid: uid(4), cluster: clusterName("other"), machine: "counter", state: "halted",
                leader: nil, note: "at index 3: it failed", values: []),
        ])
}
