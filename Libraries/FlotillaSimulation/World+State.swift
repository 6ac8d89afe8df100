import FlotillaConsensus
import FlotillaKernel
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// What a world looks like from above.
extension World {
    /// Whether every node serves, but those that rightly refuse their damaged logs.
    var allNodesServe: Bool { computers.allSatisfy { $0.serving != nil || $0.isRefusing } }

    /// The servers of a cluster on the nodes that serve, with the numbers of their nodes.
    package func servers(of cluster: Int) -> [(host: Int, server: HostedServer)] {
        servers(ofClusterNamed: clusterNames[cluster])
    }

    /// The servers of the cluster of this name on the nodes that serve.
    func servers(ofClusterNamed name: String) -> [(host: Int, server: HostedServer)] {
        computers.flatMap { computer in
            (computer.serving?.kernel?.hostedServers ?? [])
                .filter { $0.creation.clusterName.description == name }
                .map { (computer.number, $0) }
        }
    }

    /// Whoever leads a cluster in its latest term.
    package func leader(of cluster: Int) -> (host: Int, server: HostedServer)? {
        leader(ofClusterNamed: clusterNames[cluster])
    }

    /// Whoever leads the cluster of this name in its latest term.
    func leader(ofClusterNamed name: String) -> (host: Int, server: HostedServer)? {
        servers(ofClusterNamed: name).filter { $0.server.core.role == .leader }.max {
            $0.server.core.term < $1.server.core.term
        }
    }

    /// The identity of a cluster, as its servers say.
    func clusterID(of cluster: Int) -> ClusterID? {
        servers(of: cluster).first?.server.creation.clusterID
    }

    /// The servers that the leader's configuration names and that are on nodes that serve.
    private func members(of leader: HostedServer, in cluster: Int) -> [HostedServer] {
        servers(of: cluster).map(\.server).filter { leader.core.configuration.member($0.uid) != nil }
    }

    /// Whether each cluster has a leader that serves and that all members follow.
    var allClustersServe: Bool { plan.options.clusters.indices.allSatisfy { serves($0) } }

    /// Whether a cluster has a leader that takes commands and that all members follow.
    ///
    /// - Parameter absent: the number of a node that is left out: no leader there counts, and no member.
    func serves(_ cluster: Int, without absent: Int? = nil) -> Bool {
        let servers = servers(of: cluster).filter { $0.host != absent }.map(\.server)
        let leaders = servers.filter { $0.core.role == .leader }
        guard let leader = leaders.max(by: { $0.core.term < $1.core.term }), leader.core.readyToServe,
            leader.core.transferTarget == nil
        else { return false }
        let isFollowed = servers.allSatisfy {
            $0.core.leader == leader.uid || leader.core.configuration.member($0.uid) == nil
        }
        return isFollowed && hasAllServers(leader.core.configuration, of: servers, without: absent)
    }

    /// Whether all members of each cluster have applied the same log to its end.
    var areEqual: Bool {
        plan.options.clusters.indices.allSatisfy { cluster in
            guard let leader = leader(of: cluster)?.server else { return false }
            return members(of: leader, in: cluster).allSatisfy {
                $0.applied == leader.core.lastIndex && $0.core.lastIndex == leader.core.lastIndex
            }
        }
    }

    /// Whether every member on a node that serves, and that has the member's disk, is there.
    private func hasAllServers(
        _ configuration: ClusterConfiguration, of servers: [HostedServer], without absent: Int?
    ) -> Bool {
        configuration.members.allSatisfy { member in
            let host = computers.first { $0.name == member.id.node }
            guard let host, host.number != absent, host.serving != nil, host.hosts(member.nodeID) else { return true }
            return servers.contains { $0.uid == member.uid }
        }
    }

    /// Whether the machines have been told of all timers that they had set, and of all sessions that they watched and that
    /// are no more.
    var machinesWaitForNothing: Bool {
        plan.options.clusters.indices.allSatisfy { cluster in
            guard let leader = leader(of: cluster)?.server else { return false }
            return leader.machine.overview.allSatisfy { value in
                switch value.name {
                case AppendList.armedName: value.value == 0
                case AppendList.watchedName: leader.machine.sessions.contains(value.value)
                default: true
                }
            }
        }
    }

    /// Asks the machine of every member for everything that clients can read: all must say the same.
    func compareMachines() {
        for (cluster, options) in plan.options.clusters.enumerated() {
            guard let leader = leader(of: cluster)?.server else { continue }
            // What stands on a damaged disk may be found out only when it is read.
            let members = servers(of: cluster).filter {
                leader.core.configuration.member($0.server.uid) != nil && !computers[$0.host].isDamaged
            }
            if Set(members.map { $0.server.machine.sessions.encodedPieces() }).count > 1 {
                fail(.stateMachineSafety, "the sessions of \(clusterNames[cluster]) differ")
            }
            if Set(members.map { $0.server.machine.overview.first { $0.name == AppendList.digestName }?.value }).count
                > 1
            {
                fail(.stateMachineSafety, "the machines of \(clusterNames[cluster]) have run different versions")
            }
            for key in 0..<plan.options.keys {
                let work = WorkDrawer.lastWord(of: options.machine, key: key)
                let answers = members.map { answer(of: $0.server, on: $0.host, to: work) }
                guard Set(answers).count > 1 else { continue }
                fail(.stateMachineSafety, "the machines of \(clusterNames[cluster]) differ when asked to \(work)")
            }
        }
    }

    private func entry(of server: HostedServer, on host: Int, at index: LogIndex) -> ByteBuffer? {
        server.table.entry(at: index)
            ?? StoredEntries(disk: computers[host].disk).entry(of: server.storage.segments, at: index)
    }

    private func answer(of server: HostedServer, on host: Int, to work: ClientWork) -> ByteBuffer? {
        var query = ByteBuffer()
        var answer = ByteBuffer()
        work.encode(into: &query)
        let context = QueryContext(index: server.applied, term: server.core.term, machineVersion: 0)
        // What can't be answered is no answer, and then on all members.
        do {
            guard let read = try server.machine.answer(query, at: context, into: &answer) else { return answer }
            let entries = ReadEntries(
                of: read.indexes, entries: read.indexes.map { entry(of: server, on: host, at: $0) })
            return read.finish(entries, &answer) ? answer : nil
        } catch { return nil }
    }

    /// All clusters with their servers, for whoever wonders what they wait for.
    package var stateOfClusters: String {
        let hosts = computers.map { computer in
            "\(computer.name) "
                + (computer.serving != nil
                    ? "serves" : computer.isRefusing ? "refuses" : computer.process != nil ? "starts" : "is down")
        }
        let clusters = plan.options.clusters.indices.map { cluster in
            "\n  \(clusterNames[cluster]):"
                + servers(of: cluster).map { "\n    n\($0.host + 1) \(summary(of: $0.server))" }.joined()
        }
        return hosts.joined(separator: ", ") + clusters.joined()
    }

    private func summary(of server: HostedServer) -> String {
        let core = server.core
        let storage = server.storage
        let leader = core.leader.map { core.configuration.member($0)?.id.node.description ?? "\($0)" } ?? "nobody"
        let members = core.configuration.members.map { "\($0.id.node)\($0.isVoter ? "" : " (\($0.role))")" }
        let progress =
            core.role == .leader
            ? ", matched "
                + core.peerOverview.map { "\($0.match) \($0.state)\($0.isUp ? "" : " down")" }.joined(separator: " ")
            : ""
        return """
            \(core.role) in term \(core.term), log through \(core.lastIndex) of term \(core.lastTerm), durable \
            \(core.durableIndex), commit \(core.commitIndex), applied \(server.applied), follows \(leader), members at \
            \(core.configurationIndex): \(members.joined(separator: ", "))\(core.isRemoved ? ", removed" : "")\(progress), \
            in memory from \(server.table.firstIndex), log from \(core.logTerms.baseIndex), flushed \(storage.flushed), \
            segments \(storage.segments.segments.map { "\($0.first)-\($0.last)\($0.isDense ? "" : " (\($0.count))")" }), \
            snapshot \(storage.floor.map { "\($0.index) (\($0.liveCount) live)" } ?? "none")\
            \(storage.isWritingSegments ? ", writing segments" : "")\(storage.isWritingSnapshot ? ", snapshot" : "")\
            \(storage.isRestoring ? ", restoring" : "")\(storage.isReplaying ? ", replaying" : "")\
            \(storage.incoming.map { ", receiving \($0.name)\($0.isWhole ? " whole" : "")" } ?? "")
            """
    }
}
