import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

@Suite struct ClusterStartTests {
    @Test func `a cluster starts on three nodes and names its leader`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        let started = try fleet.start("c", on: [1, 2, 3])
        #expect(started.started.map(\.description) == ["c@n1", "c@n2", "c@n3"])
        #expect(started.notStarted.isEmpty)
        #expect(started.leader.description == "c@n1")
        #expect(fleet.leader(of: "c") == 1)
    }

    @Test func `a majority is enough, and who missed the start is started later`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        fleet.cut(fleet[1], fleet[3])
        fleet.cut(fleet[2], fleet[3])
        let started = try fleet.start("c", on: [1, 2, 3])
        #expect(started.notStarted.map(\.description) == ["c@n3"])
        #expect(fleet.server("c", on: 3) == nil)
        fleet.heal()
        #expect(fleet.run { fleet.server("c", on: 3)?.applied == fleet.server("c", on: 1)?.applied })
    }

    @Test func `a late member that meets the leader first is replicated to`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        for other in [1, 2] { fleet.cut(fleet[other], fleet[3]) }
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        // Only the leader reaches it, so that nobody else can tell it anything.
        fleet.heal()
        fleet.cut(fleet[leader == 1 ? 2 : 1], fleet[3])
        let server = try #require(fleet.server("c", on: leader))
        _ = fleet.client(of: fleet[leader]).add(5, to: server.uid)
        #expect(fleet.run { fleet.server("c", on: 3)?.applied == 2 })
        #expect(server.core.peerOverview.allSatisfy { $0.isHeard })
    }

    @Test func `a start that is repeated never deletes what was formed`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        let started = try fleet.start("c", on: [1, 2, 3])
        for other in [2, 3] { fleet.cut(fleet[1], fleet[other]) }
        fleet.run(milliseconds: 1_000)
        let again = try fleet.client(of: fleet[1]).start(
            "c", machine: "counter", on: ["n1", "n2", "n3"], id: started.cluster)
        guard case .error(let error)? = again else {
            Issue.record("\(String(describing: again))")
            return
        }
        #expect(error.code == .timeout)
        #expect(fleet.server("c", on: 1) != nil)
        fleet.heal()
        #expect(fleet.run { fleet.server("c", on: 1)?.core.leader != nil })
    }

    @Test func `a cluster that was never formed does not come to life by a member that missed its end`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        fleet.cut(fleet[1], fleet[3])
        fleet[2].hasPromptDisk = false
        let client = fleet.client(of: fleet[1])
        let number = client.ask(
            .startCluster(
                ClientRequest.StartCluster(
                    cluster: ClusterID(high: 1, low: 1), name: try ClusterName("c"), machine: "counter",
                    machineConfiguration: ByteBuffer(), nodes: try ["n1", "n2", "n3"].map { try NodeName($0) },
                    timeoutMilliseconds: 500)))
        #expect(fleet.server("c", on: 2) != nil)
        fleet.cut(fleet[1], fleet[2])
        #expect(fleet.run { client.responses[number] != nil })
        #expect(fleet.server("c", on: 1) == nil)
        fleet[2].hasPromptDisk = true
        fleet.sync(fleet[2])
        fleet.heal()
        #expect(fleet.run { fleet.server("c", on: 2) == nil }, "it hears that the cluster was deleted")
        fleet.run(milliseconds: 1_000)
        for node in 1...3 { #expect(fleet.server("c", on: node) == nil) }
    }

    @Test func `what the coordinator itself refuses is said as it is`() throws {
        let fleet = try KernelFleet(2)
        fleet.run(milliseconds: 50)
        guard case .error(let error)? = try fleet.client(of: fleet[1]).start("c", machine: "x", on: ["n1", "n2"]) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .unknownMachine)
        #expect(fleet.server("c", on: 2) == nil)
    }

    @Test func `without a majority nothing stays`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        for other in [2, 3] { fleet.cut(fleet[1], fleet[other]) }
        let client = fleet.client(of: fleet[1])
        let response = try client.start("c", machine: "counter", on: ["n1", "n2", "n3"])
        guard case .error(let error)? = response else {
            Issue.record("\(String(describing: response))")
            return
        }
        #expect(error.code == .clusterNotFormed)
        #expect(error.message.contains("c@n2"))
        #expect(fleet.server("c", on: 1) == nil)
        fleet.heal()
        fleet.run(milliseconds: 500)
        #expect(fleet.server("c", on: 2) == nil)
    }

    @Test(arguments: [
        ("c", "counter", ["n1", "n2"], FlotillaError.Code.clusterExists),
        ("d", "nonsense", ["n1", "n2"], .unknownMachine),
        ("d", "counter", ["n1", "n9"], .unreachable),
        ("d", "counter", ["n2"], .unknownMember),
        ("d", "counter", ["n1", "n1"], .invalidArgument),
        ("d", "counter", [], .invalidArgument),
    ])
    func `a start that can't be is refused with the reason`(
        name: String, machine: String, nodes: [String], code: FlotillaError.Code
    ) throws {
        let fleet = try KernelFleet(2)
        fleet.run(milliseconds: 50)
        try fleet.start("c", on: [1, 2])
        let client = fleet.client(of: fleet[1])
        guard case .error(let error)? = try client.start(name, machine: machine, on: nodes) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == code)
        #expect(fleet.server("d", on: 1) == nil && fleet.server("d", on: 2) == nil)
        #expect(fleet.leader(of: "c") != nil)
    }

    @Test func `the same start sent again is answered and changes nothing`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        let started = try fleet.start("c", on: [1, 2, 3])
        let client = fleet.client(of: fleet[1])
        let again = try client.start("c", machine: "counter", on: ["n1", "n2", "n3"], id: started.cluster)
        guard case .clusterStarted(let second)? = again else {
            Issue.record("\(String(describing: again))")
            return
        }
        #expect(second.cluster == started.cluster && second.leader == started.leader)
    }

    @Test func `whichever node is asked to start a cluster, it is the same cluster`() throws {
        // Two fleets of the same nodes stand for two attempts, of which the first may have failed in the middle.
        let members = try [1, 2].map { coordinator in
            let fleet = try KernelFleet(3)
            fleet.run(milliseconds: 50)
            let client = fleet.client(of: fleet[coordinator])
            _ = try client.start(
                "c", machine: "counter", on: ["n1", "n2", "n3"], id: ClusterID(high: 3, low: 14))
            return try #require(fleet.server("c", on: coordinator)).creation.initial.members
        }
        #expect(members[0] == members[1])
        #expect(Set(members[0].map(\.uid)).count == 3)
    }

    @Test func `two hundred clusters start, elect and take commands`() throws {
        let fleet = try KernelFleet(3)
        fleet.run(milliseconds: 50)
        for number in 1...200 { try fleet.start("c\(number)", on: [1, 2, 3]) }
        for number in 1...200 {
            let leader = try #require(fleet.leader(of: "c\(number)"))
            let server = try #require(fleet.server("c\(number)", on: leader))
            let client = fleet.client(of: fleet[leader])
            #expect(client.number(client.add(Int64(number), to: server.uid)[0]) == Int64(number))
        }
    }
}
