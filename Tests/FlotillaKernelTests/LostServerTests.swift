import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import Testing

@testable import FlotillaKernel

/// Servers that are not whole after a restart.
@Suite struct LostServerTests {
    private let fleet: KernelFleet
    private let leader: Int
    private let follower: Int
    private let old: ServerUID

    /// Three nodes with two clusters, of which a follower of the first has been damaged while its node was down.
    init() throws {
        fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        try fleet.start("d", on: [1, 2, 3])
        leader = try #require(fleet.leader(of: "c"))
        follower = leader % 3 + 1
        old = try #require(fleet.server("c", on: follower)).uid
        let client = fleet.client(of: fleet[leader])
        #expect(client.number(client.add(5, to: try #require(fleet.server("c", on: leader)).uid)[0]) == 5)
        fleet.settle()
        fleet.kill(fleet[follower])
    }

    private func isReplaced(on number: Int) -> Bool {
        guard let server = fleet.server("c", on: number), server.uid != old else { return false }
        return server.core.committedConfiguration.isVoter(server.uid) && server.applied == server.core.lastIndex
            && server.core.leader != nil
    }

    @Test func `a damaged server is replaced by its leader, and others of its node go on`() throws {
        try fleet.restart(fleet[follower], damaged: [old])
        let other = try #require(fleet.server("d", on: follower))
        #expect(fleet.server("c", on: follower) == nil)
        #expect(fleet.run { isReplaced(on: follower) })
        #expect(other.core.leader != nil && !other.isDeleted)
        let configuration = try #require(fleet.server("c", on: leader)).core.configuration
        #expect(configuration.members.count == 3 && configuration.member(old) == nil)
        #expect(fleet[leader].events.contains(.memberReplaced(try ClusterName("c"), fleet[follower].name)))
        #expect(fleet[follower].kernel.lost.isEmpty, "what is replaced is deleted")
        #expect(fleet[follower].log.contains { if case .serverDeleted(old, _, _, _) = $0 { true } else { false } })
    }

    @Test func `a member whose replacement came to nothing is replaced once more`() throws {
        let others = (1...3).filter { $0 != follower }
        for number in others { fleet[number].hasPromptDisk = false }
        try fleet.restart(fleet[follower], damaged: [old])
        #expect(fleet.run { fleet.server("c", on: follower).map { $0.uid != old } ?? false })
        // The new server is there, and the configuration with it is lost with the power.
        for number in others {
            fleet.kill(fleet[number])
            fleet[number].unsynced = []
            fleet[number].hasPromptDisk = true
            try fleet.restart(fleet[number])
            #expect(fleet.server("c", on: number)?.core.configuration.member(old) != nil)
        }
        #expect(fleet.run(atMost: 30_000) { isReplaced(on: follower) })
        for number in 1...3 {
            #expect(fleet.server("c", on: number)?.core.committedConfiguration.member(old) == nil)
        }
    }

    @Test func `a damaged server votes for nobody and is shown`() throws {
        for node in fleet.nodes { fleet.kill(node) }
        try fleet.restart(fleet[follower], damaged: [old])
        let second = (1...3).first { $0 != leader && $0 != follower }
        try fleet.restart(fleet[try #require(second)])
        fleet.run(milliseconds: 5_000)
        #expect(fleet.leader(of: "c") == nil && fleet.leader(of: "d") != nil)
        let shown = fleet[follower].kernel.overview().servers.first { $0.uid == old }
        #expect(shown?.state == "lost" && shown?.note.contains("a file at offset 7") == true)
        // With a majority of those that are whole it is replaced.
        try fleet.restart(fleet[leader])
        #expect(fleet.run { isReplaced(on: follower) })
    }

    @Test func `what was lost at one start is lost at the next, read or not`() throws {
        for node in fleet.nodes where node.isRunning { fleet.kill(node) }
        try fleet.restart(fleet[follower], damaged: [old])
        fleet.run(milliseconds: 100)
        fleet.kill(fleet[follower])
        try fleet.restart(fleet[follower])
        #expect(fleet[follower].kernel.lost.keys.contains(old))
        #expect(fleet.server("c", on: follower) == nil)
        // Nobody who starts its cluster again gets it back.
        for number in 1...3 where number != follower { try fleet.restart(fleet[number]) }
        #expect(fleet.run { isReplaced(on: follower) })
    }

    @Test func `a new leader replaces it, too`() throws {
        try fleet.restart(fleet[follower], damaged: [old])
        // Long enough to be heard, not to be replaced.
        _ = fleet.run(atMost: 1_000) { fleet.server("c", on: leader)?.lostMembers == [old] }
        fleet.kill(fleet[leader])
        try fleet.restart(fleet[leader])
        #expect(fleet.run { isReplaced(on: follower) })
    }

    @Test func `one whose log contradicts itself is lost, not its node`() throws {
        let node = fleet[follower]
        node.log.append(.hardState(old, HardState(term: 0, vote: nil)))
        try fleet.restart(node)
        #expect(node.kernel.lost.keys.contains(old))
        #expect(fleet.run { isReplaced(on: follower) })
    }
}
