import FlotillaConsensus
import FlotillaKernel
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Looks at all servers all the time and holds them against what Raft promises (Ongaro and Ousterhout 2014, figure 3).
package final class Checker {
    /// What a server was like when it was last looked at.
    private struct Seen {
        var role = Role.follower
        var term = Term.zero
        var commit = LogIndex.zero
        var epoch = LogEpoch.zero
        var configuration = LogIndex.zero
        var log: [LogLine] = []
        var looks = 0
    }

    unowned let world: World
    private var truths: [ClusterID: ClusterTruth] = [:]
    /// By host and server; emptied when the host's process ends.
    private var seen: [Int: [ServerUID: Seen]] = [:]
    /// The last incarnation that each node served in.
    private var incarnations: [NodeID: Incarnation] = [:]
    private(set) var promises = Promises()
    var durable = DurableLogs()
    var confirmations = ReadConfirmations()

    init(world: World) { self.world = world }

    private func truth(of cluster: ClusterID) -> ClusterTruth {
        if let truth = truths[cluster] { return truth }
        let truth = ClusterTruth()
        truths[cluster] = truth
        return truth
    }

    // MARK: Servers

    /// Looks at the servers of a node, after each of its turns.
    func look(at kernel: Kernel, on host: Int) {
        for server in kernel.hostedServers {
            var now = seen[host]?[server.uid] ?? Seen()
            guard hasChanged(server, since: now) else { continue }
            do throws(Violation) {
                try look(at: server, on: host, &now)
            } catch {
                world.fail(error)
            }
            seen[host, default: [:]][server.uid] = now
        }
    }

    private func hasChanged(_ server: HostedServer, since before: Seen) -> Bool {
        server.core.term != before.term || server.core.commitIndex != before.commit
            || server.core.role != before.role || server.core.logEpoch != before.epoch
            || server.core.lastIndex.rawValue != UInt64(before.log.count)
            || server.core.configurationIndex != before.configuration
    }

    private func look(at server: HostedServer, on host: Int, _ seen: inout Seen) throws(Violation) {
        let core = server.core
        let truth = truth(of: server.creation.clusterID)
        if core.term < seen.term || core.commitIndex < seen.commit {
            throw Violation(.monotonic, "\(core) was in term \(seen.term) with commit \(seen.commit)")
        }
        let isNewTerm = core.term != seen.term || core.role != seen.role
        seen.looks += 1
        // Costly, so not each time.
        if isNewTerm || seen.looks % 32 == 0, let violation = core.violatedInvariant {
            throw Violation(.invariant, "\(violation): \(core)")
        }
        try readLog(of: server, on: host, truth, &seen)
        if core.hardState.vote == core.uid { truth.campaigns(in: core.term) }
        if isNewTerm { try truth.enters(core.term, on: host) }
        if core.role == .leader, isNewTerm {
            try truth.leads(server.uid, on: host, in: core.term)
            try truth.elects(seen.log, on: host, in: core.term)
            try checkElection(of: core)
        } else if core.role == .leader, core.commitIndex > seen.commit {
            try checkCommit(by: core)
        }
        try readCommitted(of: server, on: host, truth, &seen)
        note(server, on: host, isNewTerm: isNewTerm, &seen)
    }

    private func readLog(
        of server: HostedServer, on host: Int, _ truth: ClusterTruth, _ seen: inout Seen
    ) throws(Violation) {
        let last = server.core.lastIndex
        if server.core.logEpoch != seen.epoch {
            // Whatever lies behind what is committed may be other entries now.
            seen.log.removeLast(max(0, seen.log.count - Int(seen.commit.rawValue)))
            seen.epoch = server.core.logEpoch
            world.report.truncations += 1
        }
        guard UInt64(seen.log.count) < last.rawValue else { return }
        var violation: Violation?
        for slice in server.table.slices(from: LogIndex(UInt64(seen.log.count) + 1), through: last) {
            LogLine.forEachEntry(in: slice) { header in
                guard violation == nil else { return }
                let line = LogLine(header)
                do throws(Violation) {
                    guard header.index.rawValue == UInt64(seen.log.count) + 1 else {
                        throw Violation(.logMatching, "entry \(header.index) stands behind \(seen.log.count) entries")
                    }
                    try truth.holds(line, at: header.index, previous: seen.log.last?.term ?? .zero, on: host)
                } catch {
                    violation = error
                }
                seen.log.append(line)
            }
        }
        if let violation { throw violation }
    }

    private func readCommitted(
        of server: HostedServer, on host: Int, _ truth: ClusterTruth, _ seen: inout Seen
    ) throws(Violation) {
        let commit = server.core.commitIndex
        guard commit > seen.commit else { return }
        guard commit.rawValue <= UInt64(seen.log.count) else {
            throw Violation(.committedIsFinal, "commit \(commit) behind the end of \(server.core)")
        }
        for index in Int(seen.commit.rawValue)..<Int(commit.rawValue) {
            try truth.commits(seen.log[index], at: LogIndex(UInt64(index) + 1), by: host, in: server.core.term)
        }
        world.trace.add(
            world.scheduler.now, .commit, UInt64(host), commit.rawValue, server.core.term.rawValue,
            note: server.creation.clusterName.description)
    }

    private func note(_ server: HostedServer, on host: Int, isNewTerm: Bool, _ seen: inout Seen) {
        let core = server.core
        if isNewTerm {
            world.trace.add(
                world.scheduler.now, .role, UInt64(host), core.term.rawValue, core.lastIndex.rawValue,
                core.commitIndex.rawValue, note: "\(core.role) of \(server.creation.clusterName)")
            if core.role == .leader { world.report.elections += 1 }
        }
        if core.configurationIndex != seen.configuration {
            world.report.configurations += 1
            if core.configurationIndex < seen.configuration { world.report.configurationsUndone += 1 }
            world.trace.add(
                world.scheduler.now, .configuration, UInt64(host), core.configurationIndex.rawValue,
                note: server.creation.clusterName.description)
        }
        seen.role = core.role
        seen.term = core.term
        seen.commit = core.commitIndex
        seen.configuration = core.configurationIndex
    }

    /// The entry that a server was last seen to have at an index.
    func line(of server: ServerUID, at index: LogIndex, on host: Int) -> LogLine? {
        guard let log = seen[host]?[server]?.log, index > .zero, index.rawValue <= UInt64(log.count) else { return nil }
        return log[Int(index.rawValue) - 1]
    }

    // MARK: Lives

    /// A process has opened its directory and read its log.
    func recovered(_ recovered: RecoveredNode, on host: Int, node: NodeID, incarnation: Incarnation) {
        if let before = incarnations[node], incarnation <= before {
            world.fail(.recovery, "node \(node) is started again as incarnation \(incarnation), after \(before)")
        }
        incarnations[node] = incarnation
        for server in recovered.servers {
            durable.recovered(server)
            do throws(Violation) { try promises.check(server) } catch { world.fail(error) }
        }
    }

    /// The process of a host is about to end.
    func ended(_ kernel: Kernel) {
        for server in kernel.hostedServers { world.report.note(server.counters) }
    }

    /// The process of a host has ended: the next begins with what its disk says.
    func forget(_ host: Int) { seen[host] = nil }

    // MARK: Messages and clients

    /// Hears what nodes send to each other.
    func hear(_ bytes: ByteBuffer, from host: Int) {
        var rest = bytes
        while let frame = FrameChaos.nextFrame(of: &rest) {
            guard let type = FrameType(rawValue: frame.type), Promises.concern(type) else { continue }
            var body = frame.bytes
            body.moveReaderIndex(forwardBy: FrameHeader.byteCount)
            guard let (message, address, _) = (try? ConsensusMessage.decode(type, body: body)) ?? nil else { continue }
            do throws(Violation) {
                try checkPromise(message, address, on: host)
                try hearRound(message, address, on: host)
                try promises.hear(message, address)
            } catch {
                world.fail(error)
            }
        }
    }

    /// A command was acknowledged: it must be committed where the acknowledgement says.
    func acknowledged(_ attempt: Attempt, at index: LogIndex, cluster: ClusterID) {
        let truth = truth(of: cluster)
        guard index <= truth.lastCommitted, index > .zero else {
            return world.fail(.durability, "entry \(index) is acknowledged but was committed nowhere")
        }
        let line = truth.committed[Int(index.rawValue) - 1]
        let expected = attempt.checksum ^ UInt32(EntryKind.command.rawValue) << 24
        guard line.checksum == expected else {
            return world.fail(.durability, "\(attempt.work) is acknowledged at \(index), where another entry stands")
        }
    }

    /// How far a cluster is known to be committed.
    func lastCommitted(of cluster: ClusterID) -> LogIndex { truth(of: cluster).lastCommitted }
}
