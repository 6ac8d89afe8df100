import FlotillaConsensus
import FlotillaWire
import Testing

/// Figures 6 and 7 of "In Search of an Understandable Consensus Algorithm": whatever the followers' logs look like when
/// a leader comes to power, they end as the leader's.
@Suite struct Figure7Tests {
    static let leaderLog = "1 1 1 4 4 5 5 6 6 6"
    /// The followers (a) to (f), as servers 2 to 7.
    static let followerLogs = [
        2: "1 1 1 4 4 5 5 6 6",
        3: "1 1 1 4",
        4: "1 1 1 4 4 5 5 6 6 6 6",
        5: "1 1 1 4 4 5 5 6 6 6 7 7",
        6: "1 1 1 4 4 4 4",
        7: "1 1 1 2 2 2 3 3 3 3 3",
    ]

    private func fleet() -> Fleet {
        var logs = Self.followerLogs
        logs[1] = Self.leaderLog
        return Fleet(7, logs: logs, terms: [1: 7, 2: 7, 3: 7, 4: 7, 5: 7, 6: 7, 7: 7])
    }

    @Test func `all six followers of figure 7 end with the leader's log`() {
        let fleet = fleet()
        fleet.elect(1)
        #expect(fleet[1].term == 8)
        for number in 1...7 {
            #expect(fleet.log(of: number) == "1 1 1 4 4 5 5 6 6 6 8")
            #expect(fleet[number].commitIndex == 11)
        }
    }

    @Test func `servers whose logs are ahead do not vote for the leader of figure 7`() {
        let fleet = fleet()
        fleet.elect(1)
        let voters = fleet.sent.compactMap { envelope -> Int? in
            guard case .voteReply(let reply) = envelope.message, reply.granted, reply.kind == .vote else { return nil }
            return envelope.from
        }
        #expect(voters.sorted() == [2, 3, 6, 7])
    }

    @Test func `a follower is asked at most once a term where its log parts from the leader's`() {
        let fleet = fleet()
        fleet.elect(1)
        for (number, log) in Self.followerLogs.sorted(by: { $0.key < $1.key }) {
            let conflicts = fleet.sent.filter { envelope in
                guard envelope.from == number, case .appendReply(let reply) = envelope.message else { return false }
                guard case .conflict = reply.outcome else { return false }
                return true
            }
            #expect(conflicts.count <= Set(Fleet.terms(log)).count)
            #expect(conflicts.count <= 1, "none of the figure's logs needs more")
        }
    }

    @Test func `a long log that parts early costs a round trip a term, not one an entry`() {
        let shared = Array(repeating: "1", count: 50)
        let leader = (shared + (2...400).map { $0 % 100 == 0 ? "9" : "9" }).joined(separator: " ")
        let follower = (shared + Array(repeating: "3", count: 200) + Array(repeating: "5", count: 200))
        let fleet = Fleet(3, logs: [1: leader, 2: leader, 3: follower.joined(separator: " ")])
        let before = fleet.sent.count
        fleet.elect(1)
        let probes = fleet.sent[before...].filter { $0.to == 3 && $0.message.isAppendEntries }
        #expect(probes.count <= 4, "first guess, at most one for each term, and the entries")
        #expect(fleet.log(of: 3) == fleet.log(of: 1))
    }

    @Test func `logs that interleave many terms meet after no more questions than there are terms`() {
        for seed in 1...40 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let shared = "1 1 1"
            let leader = shared + (0..<30).map { " \(2 + $0 / 3 * 2)" }.joined()
            let follower = shared + (0..<Int.random(in: 1...30, using: &random)).map { " \(3 + $0 / 4 * 2)" }.joined()
            let fleet = Fleet(3, logs: [1: leader, 2: leader, 3: follower])
            fleet.campaign(1)
            #expect(fleet.log(of: 3) == fleet.log(of: 1))
            let conflicts = fleet.sent.filter { envelope in
                guard envelope.from == 3, case .appendReply(let reply) = envelope.message else { return false }
                guard case .conflict = reply.outcome else { return false }
                return true
            }
            #expect(conflicts.count <= Set(Fleet.terms(follower)).count)
        }
    }
}
