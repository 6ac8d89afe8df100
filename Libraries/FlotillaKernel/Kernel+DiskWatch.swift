import FlotillaConsensus
import FlotillaStorage
import FlotillaWire

/// Leadership is bound to the disk: whoever can make nothing durable leaves its place to others, and a node whose disk
/// hangs ends.
extension Kernel {
    /// Looks at how the write-ahead log gets on.
    ///
    /// - Parameter wasStopped: whether this process stood still since it last looked.
    func watchDisk(wasStopped: Bool) {
        if wasStopped { disk.restart(at: now) }
        let slowSince = disk.slowSince
        let change = disk.judge(at: now, limit: configuration.diskStallLimit)
        tellServers(isStalled: disk.waited(until: now) > configuration.diskStallLimit)
        if change == true { output.events.append(.diskSlow(diskReport)) }
        if change == false, let slowSince {
            output.events.append(.diskRecovered(after: now - slowSince, longestWait: disk.longestWait))
        }
        if disk.slowSince != nil { handOverLeaderships() }
        endIfHung()
    }

    private var diskReport: DiskReport {
        DiskReport(
            waited: disk.waited(until: now), limit: configuration.diskStallLimit, writes: disk.recent.writes,
            slowWrites: disk.recent.slow, leaders: servers.count { $0?.core.role == .leader })
    }

    /// A server that can't write its vote does not campaign.
    private func tellServers(isStalled: Bool) {
        guard isStalled != disk.isStalled else { return }
        disk.isStalled = isStalled
        for case let server? in servers where !server.isBarred { step(server, .unfitToLead(isStalled)) }
    }

    // MARK: Leadership

    private func handOverLeaderships() {
        for case let server? in servers where server.core.role == .leader && mayHandOver(server) {
            guard let target = successor(of: server) else { continue }
            server.handOver = HandOver(term: server.core.term, target: target, at: now)
            // Nothing of this needs this node's disk: the target has what it lacks from this one's memory, and its vote
            // and those of the others do without this one's.
            step(
                server, .transferLeadership(to: target, giveUpAt: now + configuration.raft.electionTimeout))
        }
    }

    /// An attempt that has failed is made again after a while. Whoever leads again though it left its place not long
    /// ago stays, for the others are no better off then: leadership must not go round and round.
    private func mayHandOver(_ server: HostedServer) -> Bool {
        guard server.core.transferTarget == nil else { return false }
        guard let last = server.handOver else { return true }
        let limit = configuration.diskStallLimit
        return now - last.at >= (last.term == server.core.term ? limit : min(limit * 10, configuration.diskHangLimit))
    }

    /// The voter whose log is the longest, another one than was tried last if there is one. None where the others could
    /// not elect it without the vote of this node, which waits for the disk: whoever leads can at least answer queries.
    private func successor(of server: HostedServer) -> ServerUID? {
        let others = server.core.peerOverview.filter { $0.isVoter && $0.isUp }
        guard 2 * others.count > server.core.configuration.voters.count else { return nil }
        let untried = others.filter { $0.uid != server.handOver?.target }
        return (untried.isEmpty ? others : untried).max { $0.match < $1.match }?.uid
    }

    /// A transfer of leadership has ended, one that the disk was the reason of or another.
    func noteEndOfHandOver(_ outcome: TransferOutcome, for server: HostedServer) {
        // What was refused was not this one: it would not have been begun.
        if case .refused = outcome { return }
        guard server.handOver?.isUnderWay == true else { return }
        server.handOver?.isUnderWay = false
        if server.core.role != .leader { server.counters.leadershipsLeft += 1 }
    }

    // MARK: The end

    /// A disk that gets nothing done any more is as good as one that fails. A log that may not grow is not: it says so.
    private func endIfHung() {
        let waited = disk.waited(until: now)
        guard waited > configuration.diskHangLimit, !disk.hasGivenUp, !waitsForRoom else { return }
        disk.hasGivenUp = true
        guard output.failure == nil else { return }
        output.failure = StorageError(
            .hung, "the disk has made nothing durable for \(waited.inSeconds), though something waits for it")
    }

    /// Whether the node should long have ended because of its disk; for whoever watches over a simulated one.
    package var goesOnWithHungDisk: Bool {
        // Whoever stood still and has not looked yet does not go on.
        disk.waited(until: now) > configuration.diskHangLimit + .seconds(1) && !waitsForRoom && nextHousekeeping > now
    }

    private var waitsForRoom: Bool { walStatus.waitingForFile && walStatus.limitReached }
}

/// Why a disk is too slow for leaders.
public struct DiskReport: Sendable, Equatable {
    /// How long nothing has become durable though something waits for it.
    public var waited: Duration
    /// How long that may be.
    public var limit: Duration
    /// How many of the last writes are known.
    public var writes: Int
    /// How many of them took longer than the limit.
    public var slowWrites: Int
    /// How many servers of this node lead.
    public var leaders: Int
}

extension DiskReport: CustomStringConvertible {
    /// All figures on one line.
    public var description: String {
        "the disk of the write-ahead log is too slow for leaders: nothing has become durable for \(waited.inSeconds), "
            + "\(slowWrites) of the last \(writes) writes took longer than \(limit.inSeconds); "
            + "\(leaders) leaders of this node hand over where others can do without it"
    }
}

extension Duration {
    /// In seconds with one digit after the point, for people.
    package var inSeconds: String {
        let tenths = components.seconds * 10 + components.attoseconds / 100_000_000_000_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
