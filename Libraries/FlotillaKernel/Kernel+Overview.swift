import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire

/// Everything that the node counts and knows, put into words.
extension Kernel {
    func overview() -> NodeOverview {
        NodeOverview(
            node: identity, values: nodeValues,
            peers: peers.map { peer in
                NodeOverview.Peer(name: peer.name, address: peer.address, isUp: peer.isUp, values: peer.counters.values)
            },
            servers: servers.compactMap { $0 }.sorted { $0.creation.id < $1.creation.id }.map(overview)
                + lost.sorted { $0.key < $1.key }.compactMap { overview(ofLost: $0.value) })
    }

    /// One whose name can't be read any more is only counted.
    private func overview(ofLost server: LostServer) -> NodeOverview.Server? {
        server.creation.map { creation in
            NodeOverview.Server(
                id: creation.id, uid: server.uid, cluster: creation.clusterName, machine: creation.machine,
                state: "lost", leader: nil, note: server.damage?.description ?? "its files were found damaged",
                values: [])
        }
    }

    private var nodeValues: [NamedValue] {
        [
            NamedValue("servers", UInt64(serversByUID.count)),
            NamedValue("lost_servers", UInt64(lost.count)),
            NamedValue("connections", UInt64(links.count)),
            NamedValue("memory_table_bytes", UInt64(clamping: memoryBytes)),
            NamedValue("frames_received_total", counters.framesReceived),
            NamedValue("unknown_frames_total", counters.unknownFrames),
            NamedValue("broken_frames_total", counters.brokenFrames),
            NamedValue("refused_connections_total", counters.refusedConnections),
            NamedValue("unknown_server_messages_total", counters.unknownServerMessages),
            NamedValue("servers_recovered", counters.serversRecovered),
        ] + walStatus.values
    }

    private func overview(of server: HostedServer) -> NodeOverview.Server {
        NodeOverview.Server(
            id: server.creation.id, uid: server.uid, cluster: server.creation.clusterName,
            machine: server.creation.machine, state: server.failure == nil ? "\(server.core.role)" : "halted",
            leader: knownLeader(of: server), note: server.failure?.description ?? "",
            values: positions(of: server) + server.counters.values + server.machine.overview)
    }

    private func positions(of server: HostedServer) -> [NamedValue] {
        [
            NamedValue("term", server.core.term.rawValue),
            NamedValue("last_index", server.core.lastIndex.rawValue),
            NamedValue("durable_index", server.core.durableIndex.rawValue),
            NamedValue("commit_index", server.core.commitIndex.rawValue),
            NamedValue("applied_index", server.applied.rawValue),
            NamedValue("memory_table_bytes", UInt64(clamping: server.table.byteCount)),
            NamedValue("machine_version", UInt64(server.machineVersion.rawValue)),
            NamedValue("members", UInt64(server.core.configuration.members.count)),
            NamedValue("voters", UInt64(server.core.configuration.voters.count)),
        ]
    }
}

extension WALStatus {
    fileprivate var values: [NamedValue] {
        [
            NamedValue("wal_files", UInt64(files)),
            NamedValue("wal_live_bytes", liveBytes),
            NamedValue("wal_queued_bytes", UInt64(clamping: queuedBytes)),
            NamedValue("wal_batches_total", batches),
            NamedValue("wal_records_total", records),
            NamedValue("wal_written_bytes_total", bytesWritten),
            NamedValue("wal_syncs_total", syncs),
            NamedValue("wal_last_sync_nanoseconds", lastSyncNanoseconds),
            NamedValue("wal_worst_sync_nanoseconds", worstSyncNanoseconds),
            NamedValue("wal_waiting_for_file", waitingForFile ? 1 : 0),
            NamedValue("wal_disk_full", diskFull ? 1 : 0),
            NamedValue("wal_limit_reached", limitReached ? 1 : 0),
        ]
    }
}
