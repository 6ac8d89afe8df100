import FlotillaConsensus
import FlotillaWire
import Testing

@testable import FlotillaKernel

/// Commands of a leader that lost its place, whose entries gave way to another leader's.
@Suite struct DisplacedTests {
    private struct Scene {
        var fleet: KernelFleet
        var client: TestClient
        var number: UInt64
        var old: Int
        var heir: Int
        var others: [Int]
    }

    /// A leader of five that has reached only one follower, its heir, with its last command, and is then cut off from it.
    private func scene() throws -> Scene {
        let fleet = try KernelFleet(5)
        try fleet.start("c", on: [1, 2, 3, 4, 5])
        let old = try #require(fleet.leader(of: "c"))
        let heir = old % 5 + 1
        let others = (1...5).filter { $0 != old && $0 != heir }
        for other in others {
            fleet.cut(fleet[old], fleet[other])
            fleet.cut(fleet[heir], fleet[other])
        }
        let client = fleet.client(of: fleet[old])
        let server = try #require(fleet.server("c", on: old))
        let number = client.add(100, to: server.uid)[0]
        #expect(fleet.server("c", on: heir)?.core.lastIndex == server.core.lastIndex)
        fleet.cut(fleet[old], fleet[heir])
        return Scene(fleet: fleet, client: client, number: number, old: old, heir: heir, others: others)
    }

    /// One of the others is elected, reaches nobody but the old leader with its first entry, and is gone: figure 8 of the
    /// paper, from the second picture to the third.
    private func displace(_ scene: Scene) throws {
        let fleet = scene.fleet
        for other in scene.others { fleet[other].hasPromptDisk = false }
        // Votes are made durable one by one, so that the new leader's first entry is on no disk but the old leader's.
        let hasLeader = { scene.others.contains { fleet.server("c", on: $0)?.core.role == .leader } }
        #expect(
            fleet.run {
                for other in scene.others where !hasLeader() {
                    fleet.sync(fleet[other])
                    fleet.settle()
                }
                return hasLeader()
            })
        fleet.heal()
        for other in scene.others { fleet.cut(fleet[scene.heir], fleet[other]) }
        fleet.cut(fleet[scene.heir], fleet[scene.old])
        let before = try #require(fleet.server("c", on: scene.old)).core.logEpoch
        #expect(fleet.run { (fleet.server("c", on: scene.old)?.core.logEpoch ?? before) != before })
    }

    @Test func `a command that was displaced is not said to be lost for ever while it may come back`() throws {
        let scene = try scene()
        let fleet = scene.fleet
        try displace(scene)
        // It lives on in the heir's log, so nobody can know yet.
        #expect(scene.client.rejections[scene.number] == nil)

        // Whoever displaced it is gone, with all that the others had not on disk; the heir leads and brings it back.
        for other in scene.others {
            fleet.kill(fleet[other])
            fleet[other].hasPromptDisk = true
        }
        fleet.heal()
        fleet.cut(fleet[scene.old], fleet[scene.heir])
        // Two of them come back, who need the heir to elect anybody.
        for other in scene.others.prefix(2) {
            fleet.cut(fleet[scene.old], fleet[other])
            try fleet.restart(fleet[other])
        }
        #expect(fleet.run { fleet.server("c", on: scene.heir)?.core.readyToServe == true })
        fleet.heal()
        #expect(fleet.run { scene.client.rejections[scene.number] != nil })
        #expect(scene.client.rejections[scene.number]?.code == .outcomeUnknown)
        let heir = try #require(fleet.server("c", on: scene.heir))
        let asking = fleet.client(of: fleet[scene.heir])
        #expect(asking.number(asking.query(heir.uid, .leader)) == 100)
    }
}
