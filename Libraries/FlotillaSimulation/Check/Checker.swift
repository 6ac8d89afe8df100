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
        /// How far the log was compared with what is committed.
        var compared = 0
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
    /// When a cluster last had a voter that is alone, and so asks nobody, as far as changes of its members show.
    private(set) var lastAlone: [String: UInt64] = [:]
    /// The configurations that the server of a cluster on a host went by when it was last looked at, and the last that
    /// it knew to be committed.
    private var configurations: [String: [Int: [ClusterConfiguration]]] = [:]
    /// Configurations that a server has undone with their entries. Until that is durable, which a stalled disk may take a
    /// while for, a crash brings them back.
    private var undone: [String: [(host: Int, configuration: ClusterConfiguration, until: UInt64)]] = [:]
    /// The longest that a disk may stall, with room to spare.
    private static let stallLimit: UInt64 = 20_000_000_000

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
            if let before = seen[host]?[server.uid], !hasChanged(server, since: before) { continue }
            // Taken out, so that what it holds is changed in place.
            var now = seen[host]?.removeValue(forKey: server.uid) ?? Seen()
            do throws(Violation) {
                try look(at: server, on: host, &now)
            } catch {
                world.fail(error)
            }
            seen[host, default: [:]][server.uid] = now
        }
        if kernel.goesOnWithHungDisk {
            world.fail(.kernel, "n\(host + 1) goes on though its disk does nothing any more")
        }
    }

    private func hasChanged(_ server: HostedServer, since before: Seen) -> Bool {
        server.core.term != before.term || server.core.commitIndex != before.commit
            || server.core.role != before.role || server.core.logEpoch != before.epoch
            || server.core.lastIndex.rawValue != UInt64(before.log.count)
            || server.core.configurationIndex != before.configuration
    }

    private func look(at server: HostedServer, on host: Int, _ seen: inout Seen) throws(Violation) {
        let truth = truth(of: server.creation.clusterID)
        if server.core.term < seen.term || server.core.commitIndex < seen.commit {
            throw Violation(.monotonic, "\(server.core) was in term \(seen.term) with commit \(seen.commit)")
        }
        let isNewTerm = server.core.term != seen.term || server.core.role != seen.role
        seen.looks += 1
        // Costly, so not each time.
        if isNewTerm || seen.looks % 32 == 0, let violation = server.core.violatedInvariant {
            throw Violation(.invariant, "\(violation): \(server.core)")
        }
        try readLog(of: server, on: host, truth, &seen)
        if server.core.hardState.vote == server.uid { truth.campaigns(in: server.core.term) }
        if isNewTerm { try truth.enters(server.core.term, on: host) }
        if server.core.role == .leader, isNewTerm {
            try truth.leads(server.uid, on: host, in: server.core.term)
            try truth.elects(seen.log, on: host, in: server.core.term)
            try checkElection(of: server.core)
        } else if server.core.role == .leader, server.core.commitIndex > seen.commit {
            try checkCommit(by: server.core)
        }
        try readCommitted(of: server, on: host, truth, &seen)
        try checkConfiguration(of: server, before: seen.configuration)
        note(server, on: host, isNewTerm: isNewTerm, &seen)
    }

    private func readLog(
        of server: HostedServer, on host: Int, _ truth: ClusterTruth, _ seen: inout Seen
    ) throws(Violation) {
        let last = server.core.lastIndex
        if server.core.logEpoch != seen.epoch {
            guard last >= seen.commit else {
                throw Violation(.committedIsFinal, "\(server.core) had committed \(seen.commit)")
            }
            // Read anew from the beginning: what is committed must not have changed either.
            seen.log.removeAll(keepingCapacity: true)
            seen.epoch = server.core.logEpoch
            seen.compared = 0
            world.report.truncations += 1
        }
        guard UInt64(seen.log.count) < last.rawValue else { return }
        seen.log += linesNotInMemory(of: server, on: host, from: LogIndex(UInt64(seen.log.count) + 1))
        var violation: Violation?
        for slice in server.table.slices(from: LogIndex(UInt64(seen.log.count) + 1), through: last) {
            LogLine.forEachEntry(in: slice) { header in
                guard violation == nil else { return }
                let line = LogLine(header)
                do throws(Violation) {
                    guard header.index.rawValue == UInt64(seen.log.count) + 1 else {
                        throw Violation(.logMatching, "entry \(header.index) stands behind \(seen.log.count) entries")
                    }
                    if seen.log.last != .covered {
                        try truth.holds(line, at: header.index, previous: seen.log.last?.term ?? .zero, on: host)
                    }
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
        guard seen.compared < Int(commit.rawValue) else { return }
        guard commit.rawValue <= UInt64(seen.log.count) else {
            throw Violation(.committedIsFinal, "commit \(commit) behind the end of \(server.core)")
        }
        for index in seen.compared..<Int(commit.rawValue) {
            guard seen.log[index] != .covered else {
                guard index < truth.committed.count else {
                    throw Violation(.committedIsFinal, "a snapshot covers \(index + 1), which nobody committed")
                }
                continue
            }
            try truth.commits(seen.log[index], at: LogIndex(UInt64(index) + 1), by: host, in: server.core.term)
        }
        seen.compared = Int(commit.rawValue)
        world.trace.add(
            world.scheduler.now, .commit, UInt64(host), commit.rawValue, server.core.term.rawValue,
            note: server.creation.clusterName.description)
    }

    private func note(_ server: HostedServer, on host: Int, isNewTerm: Bool, _ seen: inout Seen) {
        let commit = server.core.commitIndex
        let configuration = server.core.configurationIndex
        if isNewTerm {
            world.trace.add(
                world.scheduler.now, .role, UInt64(host), server.core.term.rawValue, server.core.lastIndex.rawValue,
                commit.rawValue, note: "\(server.core.role) of \(server.creation.clusterName)")
            if server.core.role == .leader {
                world.report.elections += 1
                world.elected(server.creation.clusterName)
            }
        }
        if configuration < seen.configuration { noteUndone(of: server, on: host) }
        if configuration != seen.configuration || seen.looks == 1 || seen.commit < configuration {
            noteConfigurations(of: server, on: host)
        }
        if configuration != seen.configuration {
            world.report.configurations += 1
            if configuration < seen.configuration { world.report.configurationsUndone += 1 }
            world.trace.add(
                world.scheduler.now, .configuration, UInt64(host), configuration.rawValue,
                note: server.creation.clusterName.description)
        }
        seen.role = server.core.role
        seen.term = server.core.term
        seen.commit = commit
        seen.configuration = configuration
    }

    /// The entry that a server was last seen to have at an index.
    func line(of server: ServerUID, at index: LogIndex, on host: Int) -> LogLine? {
        guard let log = seen[host]?[server]?.log, index > .zero, index.rawValue <= UInt64(log.count) else { return nil }
        let line = log[Int(index.rawValue) - 1]
        return line == .covered ? nil : line
    }

    // MARK: Lives

    /// A process has opened its directory and read its log.
    func recovered(_ recovered: RecoveredNode, on host: Int, node: NodeID, incarnation: Incarnation) {
        if let before = incarnations[node], incarnation <= before {
            world.fail(.recovery, "node \(node) is started again as incarnation \(incarnation), after \(before)")
        }
        incarnations[node] = incarnation
        for server in recovered.servers {
            durable.recovered(server, stored: storedLines(of: server, on: host))
            do throws(Violation) { try promises.check(server) } catch { world.fail(error) }
        }
    }

    /// The process of a host is about to end.
    func ended(_ kernel: Kernel) {
        for server in kernel.hostedServers { world.report.note(server.counters) }
    }

    /// The process of a host has ended: the next begins with what its disk says.
    func forget(_ host: Int) { seen[host] = nil }

    /// Notes what the servers of a node go by.
    func noteConfigurations(of kernel: Kernel, on host: Int) {
        for server in kernel.hostedServers { noteConfigurations(of: server, on: host) }
    }

    private func noteConfigurations(of server: HostedServer, on host: Int) {
        let name = server.creation.clusterName.description
        let now = [server.core.configuration, server.core.committedConfiguration]
        let before = configurations[name]?[host] ?? []
        if (before + now).contains(where: { $0.voters.count <= 1 }) { lastAlone[name] = world.scheduler.now }
        configurations[name, default: [:]][host] = now
    }

    private func noteUndone(of server: HostedServer, on host: Int) {
        let name = server.creation.clusterName.description
        let until = world.scheduler.now + Self.stallLimit
        for configuration in configurations[name]?[host] ?? [] {
            undone[name, default: []].append((host, configuration, until))
        }
    }

    /// The disk of a host is another one now.
    func wiped(_ host: Int) {
        for name in undone.keys.sorted() { undone[name]?.removeAll { $0.host == host } }
        for name in configurations.keys.sorted() { configurations[name]?[host] = nil }
    }

    /// What the servers of a cluster go by, or did before their nodes went down, or may go by again after a crash.
    func configurations(of cluster: String) -> [ClusterConfiguration] {
        let hosts = configurations[cluster] ?? [:]
        let undone = (undone[cluster] ?? []).filter { $0.until > world.scheduler.now }
        return hosts.keys.sorted().flatMap { hosts[$0] ?? [] } + undone.map(\.configuration)
    }

    // MARK: Messages and clients

    /// Hears what nodes send to each other.
    func hear(_ bytes: ByteBuffer, from host: Int) {
        var rest = bytes
        while let frame = FrameChaos.nextFrame(of: &rest) {
            guard let type = FrameType(rawValue: frame.type), Promises.concern(type) else { continue }
            var body = frame.bytes
            body.moveReaderIndex(forwardBy: FrameHeader.byteCount)
            guard let (message, address) = decode(type, body, from: host) else { continue }
            do throws(Violation) {
                try checkPromise(message, address, on: host)
                try hearRound(message, address, on: host)
                try promises.hear(message, address)
            } catch {
                world.fail(error)
            }
        }
    }

    private func decode(
        _ type: FrameType, _ body: ByteBuffer, from host: Int
    ) -> (ConsensusMessage, ConsensusAddress)? {
        do throws(WireError) {
            return try ConsensusMessage.decode(type, body: body).map { ($0.0, $0.1) }
        } catch {
            world.fail(.kernel, "n\(host + 1) sends a message that can't be read: \(error)")
            return nil
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

    /// A node has deleted its server because of the end of its cluster.
    func ends(_ cluster: ClusterID, at index: LogIndex, in term: Term, on host: Int) throws(Violation) {
        try truth(of: cluster).ends(at: index, in: term, on: host)
    }

    /// How far a cluster is known to be committed.
    func lastCommitted(of cluster: ClusterID) -> LogIndex { truth(of: cluster).lastCommitted }
}
