import FlotillaWire
import NIOCore

extension Sample {
    static let handshake: [Sample] = [
        Sample("hello-peer", "node n1 dials another node", .hello(Hello(role: .peer(node(1), .log)))),
        Sample(
            "welcome-peer", "node n2 answers; a feature bit that nobody knows yet, a newer minor version",
            .welcome(
                Hello(role: .peer(node(2), .bulk), version: FormatVersion(major: 1, minor: 7), features: 1 << 40))),
    ]

    static let nodes: [Sample] = [
        Sample("ping", "a sign of life", .peer(.ping(.init(sequence: 7, digest: 0x1122_3344_5566_7788, count: 2)))),
        Sample("pong", "its answer", .peer(.pong(.init(sequence: 7, digest: 0x8877_6655_4433_2211, count: 2)))),
        Sample(
            "leaderships", "the last page: one cluster with a leader, one without",
            .peer(
                .leaderships(
                    .init(
                        wantsAnswer: true, isLast: true,
                        clusters: [
                            .init(cluster: cluster, server: uid(1), term: 5, leader: uid(1)),
                            .init(cluster: ClusterID(high: 0, low: 1), server: uid(4), term: 2, leader: nil),
                        ])))),
        Sample("server-stopped", "two servers have stopped", .peer(.serverStopped([uid(1), uid(4)]))),
        Sample("goodbye", "the node stops", .peer(.goodbye)),
        Sample(
            "start-server", "host a member of cluster kv", correlation: 31,
            .peer(
                .startServer(
                    .init(
                        cluster: cluster, name: clusterName, machine: "kv",
                        machineConfiguration: ByteBuffer(string: "settings"), initial: configuration)))),
        Sample(
            "start-server-joining", "host a member that joins cluster kv", correlation: 32,
            .peer(
                .startServer(
                    .init(
                        cluster: cluster, name: clusterName, machine: "kv",
                        machineConfiguration: ByteBuffer(string: "settings"), initial: configuration,
                        joining: .init(member: member(4, .promotable(target: 41)), term: 5))))),
        Sample(
            "start-server-reply", "the member runs", correlation: 31,
            .peer(.startServerReply(.init(cluster: cluster, refusal: nil)))),
        Sample(
            "start-server-reply-refused", "the member was refused", correlation: 31,
            .peer(
                .startServerReply(
                    .init(cluster: cluster, refusal: FlotillaError(.unknownMachine, "no machine is named 'kv'"))))),
        Sample("delete-server", "the cluster was never formed", .peer(.deleteServer(cluster))),
        Sample("servers-lost", "two servers are not whole any more", .peer(.serversLost([uid(3), uid(4)]))),
        Sample("unknown-server", "no such server is hosted", .peer(.unknownServer(uid(3), cluster))),
        Sample(
            "snapshot-request", "asks for the file of the snapshot through index 400 from byte 262144 on",
            .peer(
                .snapshotRequest(
                    SnapshotRequest(address: from2To1, snapshot: snapshot, position: .file(offset: 262_144))))),
        Sample(
            "clusters-deleted", "a cluster that ended at index 19, in term 5",
            .peer(.clustersDeleted([PeerMessage.DeletedCluster(cluster: cluster, index: 19, term: 5)]))),
        Sample(
            "machines", "a node that has version 0 of one machine and versions 2 to 4 of another",
            .peer(
                .machines([
                    PeerMessage.Machine(name: "kv", lowest: 0, highest: 0),
                    PeerMessage.Machine(name: "bank", lowest: 2, highest: 4),
                ]))),
        Sample(
            "snapshot-request-entries", "asks for the live entries behind index 17",
            .peer(
                .snapshotRequest(
                    SnapshotRequest(address: from2To1, snapshot: snapshot, position: .entries(after: 17))))),
        Sample(
            "snapshot-part", "the last four bytes of the file",
            .peer(
                .snapshotPart(
                    SnapshotPart(
                        address: from2To1.reversed, snapshot: snapshot, position: .file(offset: 262_144),
                        content: .file(bytes: ByteBuffer(string: "abcd"), length: 262_148))))),
        Sample(
            "snapshot-part-entries", "a live entry, and no more behind it",
            .peer(
                .snapshotPart(
                    SnapshotPart(
                        address: from2To1.reversed, snapshot: snapshot, position: .entries(after: 17),
                        content: .entries(entry(.command, index: 20, command([1])), more: false))))),
        Sample(
            "snapshot-part-gone", "there is no such snapshot",
            .peer(
                .snapshotPart(
                    SnapshotPart(
                        address: from2To1.reversed, snapshot: snapshot, position: .entries(after: 17), content: .gone)))
        ),
        Sample(
            "entries-request", "asks for three entries that can't be read any more",
            .peer(.entriesRequest(EntriesRequest(address: from2To1, indexes: [17, 18, 20])))),
        Sample(
            "entries-reply", "the first of them",
            .peer(
                .entriesReply(
                    EntriesReply(
                        address: from2To1.reversed, first: 17, entries: entry(.command, index: 17, command([1])))))),
    ]

    private static let from2To1 = ConsensusAddress(cluster: cluster, sender: uid(2), target: uid(1))
    private static let snapshot = SnapshotName(index: 400, term: 4)

    private static func from1To2(
        _ name: String, _ comment: String, _ message: ConsensusMessage, entries: [ByteBuffer] = []
    ) -> Sample {
        var bytes = ByteBuffer()
        for entry in entries { bytes.writeImmutableBuffer(entry) }
        let address = ConsensusAddress(cluster: cluster, sender: uid(1), target: uid(2))
        return Sample(name, comment, .consensus(message, address, entries: bytes))
    }

    static let consensus: [Sample] = [
        from1To2(
            "append-entries", "a noop with machine version 0 and a command",
            .appendEntries(
                AppendEntries(term: 5, previousIndex: 15, previousTerm: 4, commitIndex: 15, count: 2)),
            entries: [
                entry(.noop, index: 16, ByteBuffer(bytes: [0, 0, 0, 0])),
                entry(.command, index: 17, command(put)),
            ]),
        from1To2(
            "append-entries-none", "is the position shared?",
            .appendEntries(
                AppendEntries(term: 5, previousIndex: 15, previousTerm: 4, commitIndex: 10, count: 0))),
        from1To2(
            "append-reply-matched", "everything up to index 17 is durable",
            .appendReply(AppendReply(term: 5, outcome: .matched(17)))),
        from1To2(
            "append-reply-conflict", "look at index 12 next",
            .appendReply(
                AppendReply(term: 5, outcome: .conflict(probe: 12, probeTerm: 3, lastIndex: 14)))),
        from1To2(
            "append-reply-stale", "there is a newer term", .appendReply(AppendReply(term: 6, outcome: .stale))),
        from1To2("commit-notice", "committed to 17", .commitNotice(CommitNotice(term: 5, commitIndex: 17))),
        from1To2(
            "vote-request", "a vote in term 6",
            .voteRequest(VoteRequest(kind: .vote, term: 6, lastIndex: 17, lastTerm: 5))),
        from1To2(
            "vote-request-pre-vote", "would you?",
            .voteRequest(VoteRequest(kind: .preVote, term: 6, lastIndex: 17, lastTerm: 5))),
        from1To2(
            "vote-request-transfer", "the leader wants it",
            .voteRequest(VoteRequest(kind: .transfer, term: 6, lastIndex: 17, lastTerm: 5))),
        from1To2(
            "vote-reply", "granted", .voteReply(VoteReply(kind: .vote, term: 6, granted: true))),
        from1To2(
            "vote-reply-refused", "refused", .voteReply(VoteReply(kind: .preVote, term: 7, granted: false))),
        from1To2("read-round", "do you still follow?", .readRound(ReadRound(term: 5, round: 33))),
        from1To2("read-round-reply", "yes", .readRoundReply(ReadRound(term: 5, round: 33))),
        from1To2("read-index-request", "up to where?", .readIndexRequest(ReadIndexRequest(term: 5, id: 44))),
        from1To2("read-index-reply", "up to 17", .readIndexReply(ReadIndexReply(term: 5, id: 44, index: 17))),
        from1To2(
            "read-index-reply-none", "it does not lead",
            .readIndexReply(ReadIndexReply(term: 5, id: 44, index: nil))),
        from1To2("timeout-now", "lead, please", .timeoutNow(TimeoutNow(term: 5))),
        from1To2(
            "removed", "no member at index 17, which is committed", .removed(Removed(term: 5, committedIndex: 17))),
        from1To2(
            "install-snapshot", "offers the snapshot through index 400",
            .installSnapshot(InstallSnapshot(term: 5, index: 400, indexTerm: 4))),
    ]
}
