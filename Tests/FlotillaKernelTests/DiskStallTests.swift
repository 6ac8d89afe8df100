import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import Testing

@testable import FlotillaKernel

/// Nodes whose disk makes nothing durable any more.
@Suite("A stalled disk")
struct DiskStallTests {
    private func fleet(_ count: Int, voters: Int? = nil) throws -> (fleet: KernelFleet, leader: Int) {
        let fleet = try KernelFleet(count)
        try fleet.start("c", on: Array(1...(voters ?? count)))
        fleet.run(milliseconds: 1_500)
        return (fleet, try #require(fleet.leader(of: "c")))
    }

    /// Stalls a node's disk while it has something to write.
    private func stall(_ number: Int, of fleet: KernelFleet, leader: Int) throws {
        fleet[number].hasPromptDisk = false
        fleet[number].events = []
        let server = try #require(fleet.server("c", on: leader))
        _ = fleet.client(of: fleet[leader]).add(1, to: server.uid)
    }

    private func slowEvents(_ node: KernelFleet.Node) -> [DiskReport] {
        node.events.compactMap { if case .diskSlow(let report) = $0 { report } else { nil } }
    }

    private func recoveries(_ node: KernelFleet.Node) -> [Duration] {
        node.events.compactMap { if case .diskRecovered(_, let longest) = $0 { longest } else { nil } }
    }

    @Test func `makes the leader leave its place to another, which serves`() throws {
        let (fleet, leader) = try fleet(3)
        let node = fleet[leader]
        try stall(leader, of: fleet, leader: leader)
        fleet.run(milliseconds: 950)
        #expect(fleet.leader(of: "c") == leader, "not before the limit")
        fleet.run(milliseconds: 300)
        let next = try #require(fleet.leader(of: "c"))
        #expect(next != leader)
        #expect(fleet.server("c", on: next)?.core.readyToServe == true)
        #expect(fleet.server("c", on: leader)?.counters.leadershipsLeft == 1)
        #expect(fleet.server("c", on: leader)?.core.durableTerm == 1, "nothing of it needed the disk that stalls")
        let server = try #require(fleet.server("c", on: next))
        let client = fleet.client(of: fleet[next])
        let number = client.add(5, to: server.uid)[0]
        fleet.run(milliseconds: 50)
        #expect(client.number(number) == 6, "what was added during the stall is not lost")
        #expect(node.failure == nil)
    }

    @Test func `is told once when it begins, with figures, and once when it ends`() throws {
        let (fleet, leader) = try fleet(3)
        let node = fleet[leader]
        try stall(leader, of: fleet, leader: leader)
        fleet.run(milliseconds: 4_000)
        let report = try #require(slowEvents(node).first)
        #expect(slowEvents(node).count == 1)
        #expect(report.leaders == 1)
        #expect(report.waited > .seconds(1) && report.waited < .milliseconds(1_100))
        #expect(report.limit == .seconds(1))
        #expect(recoveries(node).isEmpty)
        node.hasPromptDisk = true
        fleet.sync(node)
        fleet.run(milliseconds: 1_000)
        #expect(slowEvents(node).count == 1)
        #expect(recoveries(node).count == 1)
        #expect(try #require(recoveries(node).first) > .milliseconds(3_900))
        #expect(fleet.server("c", on: leader)?.core.isUnfitToLead == false)
    }

    @Test func `concerns every leader of the node and nobody who follows`() throws {
        let fleet = try KernelFleet(3)
        for name in ["a", "b", "c", "d", "e", "f"] { try fleet.start(name, on: [1, 2, 3]) }
        fleet.run(milliseconds: 1_500)
        let names = ["a", "b", "c", "d", "e", "f"]
        let led = names.filter { fleet.leader(of: $0) == 1 }
        let others = names.filter { fleet.leader(of: $0) == 2 }
        let first = try #require(led.first)
        fleet[1].hasPromptDisk = false
        _ = fleet.client(of: fleet[1]).add(1, to: try #require(fleet.server(first, on: 1)).uid)
        fleet.run(milliseconds: 1_300)
        #expect(names.allSatisfy { fleet.leader(of: $0) != nil && fleet.leader(of: $0) != 1 })
        #expect(others.allSatisfy { fleet.leader(of: $0) == 2 })
        #expect(slowEvents(fleet[1]).first?.leaders == led.count)
    }

    @Test func `keeps a node from campaigning until the disk works again`() throws {
        let (fleet, leader) = try fleet(3)
        let stalled = leader % 3 + 1
        try stall(stalled, of: fleet, leader: leader)
        fleet.run(milliseconds: 1_200)
        let server = try #require(fleet.server("c", on: stalled))
        #expect(server.core.isUnfitToLead)
        fleet.kill(fleet[leader])
        fleet.kill(fleet[6 - leader - stalled])
        fleet.run(milliseconds: 4_000)
        #expect(server.core.role == .follower)
        #expect(server.core.term == 1)
        fleet[stalled].hasPromptDisk = true
        fleet.sync(fleet[stalled])
        #expect(fleet.run(atMost: 2_000) { server.core.role == .preCandidate })
    }

    @Test func `leaves the leader in its place where the others could elect nobody without its disk`() throws {
        let (pair, leader) = try fleet(2)
        try stall(leader, of: pair, leader: leader)
        pair.run(milliseconds: 3_000)
        #expect(pair.leader(of: "c") == leader)
        #expect(slowEvents(pair[leader]).count == 1)
        let server = try #require(pair.server("c", on: leader))
        #expect(server.core.transferTarget == nil && server.core.term == 1)
        let (alone, _) = try fleet(1)
        try stall(1, of: alone, leader: 1)
        alone.run(milliseconds: 3_000)
        #expect(alone.leader(of: "c") == 1)
    }

    @Test func `makes a leader try the next one when its first choice does not take over`() throws {
        let (fleet, leader) = try fleet(5)
        let others = (1...5).filter { $0 != leader }
        // All logs are the same, so the disk of the first choice is the one to stall: it has acknowledged before.
        let uids = try #require(fleet.server("c", on: leader)).core.peerOverview
        let first = try #require(uids.max { $0.match < $1.match }?.uid)
        let victim = try #require(others.first { fleet.server("c", on: $0)?.uid == first })
        let server = try #require(fleet.server("c", on: victim))
        server.core.isolateDisk(now: fleet.now)
        try stall(leader, of: fleet, leader: leader)
        #expect(fleet.run(atMost: 4_000) { fleet.leader(of: "c") != leader })
        #expect(fleet.leader(of: "c") != victim)
    }

    @Test func `does not send leadership round and round when all disks are slow`() throws {
        let (fleet, _) = try fleet(3)
        for node in fleet.nodes { node.hasPromptDisk = false }
        var leaders: [Int] = []
        var previous: Int?
        for _ in 0..<15 {
            if let leader = fleet.leader(of: "c"), let server = fleet.server("c", on: leader) {
                if leader != previous { leaders.append(leader) }
                previous = leader
                _ = fleet.client(of: fleet[leader]).add(1, to: server.uid)
            }
            fleet.run(milliseconds: 1_300)
            for node in fleet.nodes { fleet.sync(node) }
            fleet.settle()
        }
        // Twenty seconds: each node may leave its place once in ten.
        #expect(leaders.count <= 8, "\(leaders)")
        #expect(fleet.nodes.allSatisfy { $0.failure == nil })
    }

    @Test func `ends the node when nothing is completed for the second limit`() throws {
        let (fleet, leader) = try fleet(3)
        try stall(leader, of: fleet, leader: leader)
        fleet.run(milliseconds: 9_900)
        #expect(fleet[leader].failure == nil)
        fleet.run(milliseconds: 300)
        let failure = try #require(fleet[leader].failure)
        #expect(failure.code == .hung)
        #expect(failure.message.contains("for 10.0 s"))
        #expect(fleet.nodes.filter { $0.failure != nil }.count == 1)
    }

    @Test func `does not end the node as long as something is completed now and then`() throws {
        let (fleet, leader) = try fleet(1)
        for _ in 0..<4 {
            try stall(1, of: fleet, leader: leader)
            fleet.run(milliseconds: 9_000)
            fleet.sync(fleet[1])
        }
        #expect(fleet[1].failure == nil)
    }

    @Test func `does not end a node that waits for room on a full disk`() throws {
        let (fleet, leader) = try fleet(1)
        let node = fleet[1]
        try stall(1, of: fleet, leader: leader)
        (node.status.waitingForFile, node.status.diskFull) = (true, true)
        for _ in 0..<12 {
            node.kernel.walCompleted([], status: node.status)
            fleet.run(milliseconds: 1_000)
        }
        #expect(slowEvents(node).isEmpty, "a full disk is not a slow one")
        #expect(node.failure == nil)
        (node.status.waitingForFile, node.status.diskFull) = (false, false)
        node.kernel.walCompleted([], status: node.status)
        fleet.run(milliseconds: 9_900)
        #expect(node.failure == nil, "what it waited for room does not count")
        fleet.run(milliseconds: 300)
        #expect(node.failure?.code == .hung)
    }

    @Test func `of nothing that waits is none, however long a node is idle`() throws {
        let (fleet, _) = try fleet(3)
        for node in fleet.nodes {
            fleet.sync(node)
            node.events = []
        }
        fleet.run(milliseconds: 15_000)
        #expect(fleet.nodes.allSatisfy { $0.failure == nil && slowEvents($0).isEmpty })
    }
}

extension RaftServer {
    /// Lets a server take its disk for a stalled one.
    fileprivate mutating func isolateDisk(now: Instant) {
        var actions = Actions()
        step(.unfitToLead(true), now: now, actions: &actions)
    }
}
