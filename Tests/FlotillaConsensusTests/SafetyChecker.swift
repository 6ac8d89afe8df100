import FlotillaConsensus
import FlotillaWire
import Testing

/// Watches a fleet for what Raft promises (figure 3 of the paper), knowing nothing of how the servers do it.
struct SafetyChecker {
    /// Who led each term.
    private var leaderOf: [Term: Int] = [:]
    /// Whom each server voted for in each term, as it told.
    private var votes: [[UInt64]: Int] = [:]
    /// What is committed, as the servers agree.
    private(set) var committed: [SimulatedEntry] = []
    /// Each server's commit index, since it was started.
    private var commits: [Int: LogIndex] = [:]
    /// Each server's configuration before its last step.
    private var configurations: [Int: ClusterConfiguration] = [:]
    /// How much was committed when a query came.
    private var readFloors: [UInt64: LogIndex] = [:]

    mutating func forget(_ number: Int) {
        commits[number] = nil
        configurations[number] = nil
    }

    mutating func noteRead(_ token: UInt64) { readFloors[token] = LogIndex(UInt64(committed.count)) }

    mutating func note(_ action: Action, at number: Int) {
        guard case .readReady(let token, index: let index) = action, let floor = readFloors[token] else { return }
        #expect(index >= floor, "query \(token) at server \(number) would miss what was committed before it came")
    }

    /// One vote a term (section 5.2), crashes or not.
    mutating func note(_ envelope: Envelope) {
        guard case .voteReply(let reply) = envelope.message, reply.granted, reply.kind != .preVote else { return }
        let key = [UInt64(envelope.from), reply.term.rawValue]
        #expect(votes[key] == nil || votes[key] == envelope.to, "server \(envelope.from) voted twice in \(reply.term)")
        votes[key] = envelope.to
    }

    mutating func check(_ number: Int, _ server: RaftServer, logs: [Int: SimulatedLog]) {
        if server.role == .leader { checkLeader(number, server, logs: logs) }
        checkCommit(number, server, logs: logs)
        configurations[number] = server.configuration
    }

    /// Election safety, and leader completeness: whoever leads has all that was committed before.
    private mutating func checkLeader(_ number: Int, _ server: RaftServer, logs: [Int: SimulatedLog]) {
        guard leaderOf[server.term] != number else { return }
        #expect(leaderOf[server.term] == nil, "two leaders in term \(server.term)")
        leaderOf[server.term] = number
        let entries = logs[number]?.entries ?? []
        #expect(entries.starts(with: committed), "leader \(number) of term \(server.term) lacks what is committed")
    }

    /// State machine safety, and that nothing is committed that a majority does not have on disk.
    private mutating func checkCommit(_ number: Int, _ server: RaftServer, logs: [Int: SimulatedLog]) {
        let before = commits[number] ?? .zero
        #expect(server.commitIndex >= before, "server \(number) took a commit back")
        commits[number] = server.commitIndex
        guard server.commitIndex > before, let entries = logs[number]?.entries else { return }
        let count = Int(server.commitIndex.rawValue)
        for position in Int(before.rawValue)..<min(count, committed.count) {
            #expect(entries[position] == committed[position], "server \(number) commits another \(position + 1)")
        }
        guard count > committed.count else { return }
        let last = entries[count - 1]
        // A step may commit first and change the members then, or the other way round.
        let isHeld = [configurations[number] ?? server.configuration, server.configuration].contains { configuration in
            let voters = configuration.voters.map { Int($0.uid.low) }
            let holders = voters.filter { voter in
                guard let disk = logs[voter]?.diskEntries, disk.count >= count else { return false }
                return disk[count - 1] == last
            }
            return holders.count > voters.count / 2
        }
        #expect(isHeld, "\(count) is committed but not on the disks of a majority")
        committed += entries[committed.count..<count]
    }

    /// Log matching: same index and term, same entries up to there.
    func checkLogMatching(_ logs: [Int: SimulatedLog], members: [Int]) {
        for one in members {
            for other in members where other > one {
                guard let left = logs[one]?.entries, let right = logs[other]?.entries else { continue }
                let shared = zip(left, right).reversed().drop { $0.term != $1.term }
                #expect(shared.allSatisfy { $0 == $1 }, "logs of \(one) and \(other) part below a shared entry")
            }
        }
    }
}
