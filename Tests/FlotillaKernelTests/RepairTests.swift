import FlotillaConsensus
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel
@testable import FlotillaStorage

/// Damaged entries of a segment are fetched from the other members.
@Suite struct RepairTests {
    private let fleet: KernelFleet
    private let server: HostedServer
    private let node: KernelFleet.Node
    private let others: [KernelFleet.Node]

    /// Three members of a cluster with some commands; a follower's first entries are said to be in a segment.
    init() throws {
        fleet = try KernelFleet(3)
        try fleet.start("c", on: [1, 2, 3])
        let leader = try #require(fleet.leader(of: "c"))
        let client = fleet.client(of: fleet[leader])
        #expect(client.add(1, 2, 3, 4, 5, to: try #require(fleet.server("c", on: leader)).uid).count == 5)
        fleet.run(milliseconds: 200)
        let follower = leader % 3 + 1
        let name = fleet[follower].name
        node = fleet[follower]
        others = fleet.nodes.filter { $0.name != name }
        let server = try #require(fleet.server("c", on: follower))
        self.server = server
        #expect(server.core.commitIndex >= 6)
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...6))
        server.storage.flushed = 6
        for node in fleet.nodes { node.jobs = [] }
    }

    private func end(on node: KernelFleet.Node, with result: Result<StorageOutcome.Value, StorageError>) throws {
        let job = try #require(node.jobs.first)
        node.jobs.removeFirst()
        node.kernel.jobEnded(StorageOutcome(number: job.number, server: job.server, result: result))
        fleet.settle()
    }

    private func damage() throws {
        let damage = Damage(
            file: "/servers/x/0000000000000001.seg", offset: 4_096, kind: .entryBody, server: server.uid, entries: 3...3
        )
        #expect(node.kernel.repair(server, StorageError(.corrupt, "entry 3 is damaged", damages: [damage])))
        fleet.settle()
        guard case .examine(let order)? = node.jobs.first?.work else {
            Issue.record("nothing is examined")
            return
        }
        #expect(order.slice.range == 1...6 && order.through == .zero)
        #expect(server.storage.isWritingSegments)
    }

    private var repaired: Segment {
        var segment = Samples.segment(of: server.uid, 1...6, number: server.storage.segments.nextNumber)
        segment.kind = .compacted(replaces: 1...1)
        return segment
    }

    @Test func `what is missing comes from another member`() throws {
        try damage()
        try end(on: node, with: .success(.examined([3, 5])))
        guard case .repair(_, let entries)? = node.jobs.first?.work else {
            Issue.record("nothing is written: \(node.jobs)")
            return
        }
        var expected = try #require(server.table.entry(at: 3))
        expected.writeImmutableBuffer(try #require(server.table.entry(at: 5)))
        #expect(entries == expected)
        let segment = repaired
        try end(on: node, with: .success(.repaired(segment)))
        #expect(server.storage.segments.segments == [segment])
        guard case .removeSegments([1])? = node.jobs.first?.work else {
            Issue.record("the damaged file stays: \(node.jobs)")
            return
        }
        try end(on: node, with: .success(.done))
        #expect(!server.storage.isWritingSegments && server.storage.repair == nil)
        #expect(server.counters.entriesRepaired == 2)
        #expect(node.events.contains(.repairEnded(server.creation.id, entries: 2)))
    }

    @Test func `a member that does not have it is not the last that is asked`() throws {
        let number = try #require(fleet.nodes.firstIndex { $0 === others[0] }) + 1
        let first = try #require(fleet.server("c", on: number))
        first.table.release(through: first.applied)
        try damage()
        try end(on: node, with: .success(.examined([3])))
        for other in others {
            if case .lookUp(let wanted)? = other.jobs.first?.work {
                #expect(wanted.map(\.index) == [3] && wanted[0].segment == nil)
                try end(on: other, with: .success(.lookedUp([nil])))
            }
        }
        guard case .repair(_, let entries)? = node.jobs.first?.work else {
            Issue.record("the second was not asked: \(node.jobs)")
            return
        }
        #expect(entries == server.table.entry(at: 3))
    }

    @Test func `a lent entry is read from a segment`() throws {
        let entry = try #require(server.table.entry(at: 3))
        for number in 1...3 {
            let other = try #require(fleet.server("c", on: number))
            guard other !== server else { continue }
            other.table.release(through: other.applied)
            _ = other.storage.segments.add(Samples.segment(of: other.uid, 1...6))
        }
        try damage()
        try end(on: node, with: .success(.examined([3])))
        let lender = try #require(others.first { !$0.jobs.isEmpty })
        try end(on: lender, with: .failure(StorageError(FileSystemError(operation: "read", path: "/a", errno: 5))))
        let second = try #require(others.first { !$0.jobs.isEmpty && $0 !== lender })
        try end(on: second, with: .success(.lookedUp([entry])))
        guard case .repair(_, let entries)? = node.jobs.first?.work else {
            Issue.record("nothing is written: \(node.jobs)")
            return
        }
        #expect(entries == entry)
    }

    @Test(arguments: [0, 8, 30, 60]) func `an entry that is not the one is not taken`(place: Int) throws {
        let right = try #require(server.table.entry(at: 3))
        for number in 1...3 {
            let other = try #require(fleet.server("c", on: number))
            if other !== server { other.table.release(through: other.applied) }
        }
        try damage()
        try end(on: node, with: .success(.examined([3])))
        let lender = try #require(others.first { !$0.jobs.isEmpty })
        var wrong = right
        let byte = place % right.readableBytes
        wrong.setInteger(
            (wrong.getInteger(at: wrong.readerIndex + byte, as: UInt8.self) ?? 0) ^ 4, at: wrong.readerIndex + byte)
        try end(on: lender, with: .success(.lookedUp([wrong])))
        #expect(node.jobs.isEmpty, "nothing is written")
        let second = try #require(others.first { !$0.jobs.isEmpty })
        #expect(second !== lender, "the other member is asked")
        // An entry of another index, right in itself, is as wrong.
        try end(on: second, with: .success(.lookedUp([server.table.entry(at: 5)])))
        #expect(node.jobs.isEmpty)
    }

    @Test func `what nobody has any more makes the server lost, and replaced`() throws {
        for number in 1...3 {
            let other = try #require(fleet.server("c", on: number))
            if other !== server { other.table.release(through: other.applied) }
        }
        try damage()
        try end(on: node, with: .success(.examined([3])))
        for second in 0..<20 where !server.isDeleted {
            #expect(second < 15, "some time it is enough")
            while let lender = others.first(where: { !$0.jobs.isEmpty }) {
                try end(on: lender, with: .success(.lookedUp([nil])))
            }
            #expect(second > 5 || !server.isDeleted, "not at once: somebody may have it in a moment")
            fleet.run(milliseconds: 1_000)
        }
        #expect(server.isDeleted && node.kernel.serversInRepair.isEmpty)
        #expect(node.log.contains { if case .serverLost(server.uid) = $0 { true } else { false } })
        #expect(node.events.contains { if case .serverLost(server.uid, _, _) = $0 { true } else { false } })
        let leader = try #require(fleet.leader(of: "c"))
        #expect(
            fleet.run {
                let configuration = fleet.server("c", on: leader)?.core.configuration
                return configuration?.member(server.uid) == nil && configuration?.members.count == 3
            })
    }

    @Test func `an answer that does not come is asked of another`() throws {
        for other in others { fleet.cut(node, other) }
        try damage()
        try end(on: node, with: .success(.examined([3])))
        fleet.run(milliseconds: 1_500)
        #expect(node.jobs.isEmpty && !server.isDeleted, "nobody can be asked, but somebody may be some time")
        fleet.heal()
        #expect(fleet.run { if case .repair? = node.jobs.first?.work { true } else { false } })
    }

    @Test func `what is not committed is not taken for damage that can be made good`() throws {
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 7...99, number: 2))
        #expect(node.kernel.repair(server, segment: 2))
        fleet.settle()
        #expect(node.jobs.isEmpty && server.storage.repair == nil)
    }
}
