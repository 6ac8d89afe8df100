import FlotillaConsensus
import FlotillaMachine
import FlotillaMachines
import FlotillaStorage
import FlotillaWire
import NIOCore
import Synchronization
import Testing

@testable import FlotillaKernel

/// A machine whose reads fit only after a number of look-ups, and that says where its log is not needed any more.
private struct Fickle: StateMachine {
    final class LookUps: Sendable {
        let count = Mutex(0)
    }

    let lookUps: LookUps
    var last: LogIndex = .zero

    init(_ lookUps: LookUps) { self.lookUps = lookUps }
    init(configuration: MachineConfiguration) { self.init(LookUps()) }

    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        last = context.index
        effects.checkpoint(at: context.index)
        effects.releaseCursor(at: context.index)
        return command
    }

    func answer(_ query: Int64, at context: QueryContext) -> Int64 { 0 }

    /// The query says at which look-up what is read fits.
    func lookUp(_ query: Int64, at context: QueryContext) -> QueryOutcome<Int64> {
        let number = lookUps.count.withLock { count in
            count += 1
            return count
        }
        return .read([last]) { entries in
            number >= query ? entries[0].flatMap { try? Int64(wholePiece: $0) } : nil
        }
    }
}

@Suite struct EntryReadsTests {
    private static let a = KeyValue.Key("a")
    private static let b = KeyValue.Key("b")

    private func encoded(_ value: some WireCodable) -> ByteBuffer {
        var buffer = ByteBuffer()
        value.encode(into: &buffer)
        return buffer
    }

    /// Sends queries in one frame, numbered from 1,000 on.
    private func ask(_ queries: [ByteBuffer], of server: HostedServer, _ client: TestClient, _ fleet: KernelFleet) {
        client.send { buffer in
            buffer.writeFrame(.queries) { buffer in
                let start = buffer.writerIndex
                QueryBatch.begin(target: server.uid, consistency: .consistent, into: &buffer)
                for (number, query) in queries.enumerated() {
                    QueryBatch.append(correlation: UInt64(1_000 + number), into: &buffer) {
                        $0.writeImmutableBuffer(query)
                    }
                }
                QueryBatch.setCount(queries.count, from: start, in: &buffer)
            }
        }
        fleet.settle()
    }

    private func answer(_ client: TestClient, _ number: UInt64) throws -> KeyValue.Answer? {
        guard let result = client.results[1_000 + number] else { return nil }
        var reader = WireReader(result.reply)
        return try KeyValue.Answer(from: &reader)
    }

    private let queries: [KeyValue.Query] = [
        .get(a), .count, .get(KeyValue.Key("absent")), .list(prefix: [], after: nil, limit: 0), .get(b),
    ]

    private let items = [
        KeyValue.Item(key: a, value: ByteBuffer(string: "value 2"), index: 4),
        KeyValue.Item(key: b, value: ByteBuffer(string: "value 1"), index: 3),
    ]

    /// A node that leads a cluster with two keys, the first of which was put twice.
    private func keys() throws -> (KernelFleet, HostedServer, TestClient) {
        let fleet = try KernelFleet(1)
        try fleet.start("c", machine: "kv", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        let puts = [Self.a, Self.b, Self.a].enumerated().map { number, key in
            encoded(KeyValue.Command.put(key, ByteBuffer(string: "value \(number)"), ifIndex: nil))
        }
        client.submit(puts, to: server.uid)
        return (fleet, server, client)
    }

    @Test func `values are read from the log in memory`() throws {
        let (fleet, server, client) = try keys()
        ask(queries.map(encoded) + [ByteBuffer(bytes: [9])], of: server, client, fleet)
        #expect(try answer(client, 0) == .item(items[0]))
        #expect(try answer(client, 1) == .count(2))
        #expect(try answer(client, 2) == .notFound)
        #expect(try answer(client, 3) == .page(items, more: false))
        #expect(try answer(client, 4) == .item(items[1]))
        #expect(client.results[1_000]?.index == 4)
        #expect(client.rejection(1_005)?.code == .malformed)
    }

    /// Ends the look-ups that are under way with what a test says of each index.
    private func endLookUps(
        of fleet: KernelFleet, with result: (LogIndex) throws(StorageError) -> ByteBuffer?
    ) {
        let jobs = fleet[1].jobs
        fleet[1].jobs = []
        for job in jobs {
            guard case .lookUp(let wanted) = job.work else { continue }
            let entries = Result { () throws(StorageError) in
                var entries: [ByteBuffer?] = []
                for (index, _) in wanted { entries.append(try result(index)) }
                return StorageOutcome.Value.lookedUp(entries)
            }
            fleet[1].kernel.jobEnded(StorageOutcome(number: job.number, server: job.server, result: entries))
        }
        fleet.settle()
    }

    @Test func `what is not in memory is looked up, and what needs nothing of it is answered at once`() throws {
        let (fleet, server, client) = try keys()
        let entries = [3, 4].map { server.table.entry(at: $0) }
        server.table.release(through: server.applied)
        ask(queries.map(encoded), of: server, client, fleet)
        #expect(try answer(client, 1) == .count(2))
        #expect(try answer(client, 2) == .notFound)
        #expect([1_000, 1_003, 1_004].allSatisfy { client.results[$0] == nil })
        endLookUps(of: fleet) { entries[$0 == 3 ? 0 : 1] }
        #expect(try answer(client, 0) == .item(items[0]))
        #expect(try answer(client, 4) == .item(items[1]))
        #expect(try answer(client, 3) == .page(items, more: false))
    }

    @Test func `what is nowhere is said to be so`() throws {
        let (fleet, server, client) = try keys()
        server.table.release(through: server.applied)
        ask([encoded(KeyValue.Query.get(Self.a))], of: server, client, fleet)
        endLookUps(of: fleet) { _ in nil }
        let rejection = try #require(client.rejection(1_000))
        #expect(rejection.code == .internalError)
        #expect(rejection.message.contains("entry 4"))
        #expect(fleet[1].jobs.isEmpty)
    }

    @Test func `what is elsewhere by now is looked up again`() throws {
        let (fleet, server, client) = try keys()
        let entry = server.table.entry(at: 4)
        server.table.release(through: server.applied)
        ask([encoded(KeyValue.Query.get(Self.a))], of: server, client, fleet)
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...4))
        endLookUps(of: fleet) { _ in nil }
        #expect(client.rejection(1_000) == nil)
        endLookUps(of: fleet) { _ in entry }
        #expect(try answer(client, 0) == .item(items[0]))
    }

    @Test func `what can't be read is refused with its name`() throws {
        let (fleet, server, client) = try keys()
        server.table.release(through: server.applied)
        ask([encoded(KeyValue.Query.get(Self.a))], of: server, client, fleet)
        endLookUps(of: fleet) { _ throws(StorageError) in
            throw StorageError(.corrupt, "an entry in segment 7 is damaged")
        }
        let rejection = try #require(client.rejection(1_000))
        #expect(rejection.code == .internalError)
        #expect(rejection.message.contains("segment 7"))
    }

    @Test func `what the disk refuses to give may be asked for again`() throws {
        let (fleet, server, client) = try keys()
        server.table.release(through: server.applied)
        ask([encoded(KeyValue.Query.get(Self.a))], of: server, client, fleet)
        endLookUps(of: fleet) { _ throws(StorageError) in
            throw StorageError(FileSystemError(operation: "read", path: "/servers/a", errno: 5))
        }
        let rejection = try #require(client.rejection(1_000))
        #expect(rejection.code == .busy && rejection.message.contains("/servers/a"))
        #expect(server.failure == nil && server.counters.failedReads == 1)
    }

    @Test func `a read that is late is answered from the entries that it is handed`() throws {
        let (fleet, server, client) = try keys()
        let kernel = fleet[1].kernel
        let context = kernel.queryContext(of: server)
        let entry = server.table.entry(at: 4)
        var buffer = ByteBuffer()
        let query = encoded(KeyValue.Query.get(Self.a))
        let pending = try #require(try server.machine.answer(query, at: context, into: &buffer))
        let link = try #require(client.link)
        func read(_ correlation: UInt64) -> WaitingEntryRead {
            let asked = WaitingEntryRead.Query(link: link, correlation: correlation, query: query, context: context)
            return WaitingEntryRead(reader: .query(asked), pending: pending)
        }
        let put = encoded(KeyValue.Command.put(Self.a, ByteBuffer(string: "newer"), ifIndex: nil))
        client.submit([put], to: server.uid)
        kernel.finish(read(1_000), with: ReadEntries(of: [4], entries: [entry]), of: server)
        // The entry is gone: it is looked up again, and found where the key's value is now.
        kernel.finish(read(1_001), with: ReadEntries(of: [4], entries: [nil]), of: server)
        fleet.settle()
        #expect(
            try answer(client, 0)
                == .item(KeyValue.Item(key: Self.a, value: ByteBuffer(string: "value 2"), index: 4)))
        #expect(client.results[1_000]?.index == 4)
        #expect(
            try answer(client, 1)
                == .item(KeyValue.Item(key: Self.a, value: ByteBuffer(string: "newer"), index: 5)))
        #expect(client.results[1_001]?.index == 5)
        // Nobody is left to be told.
        fleet.close(link, of: fleet[1])
        kernel.finish(read(1_002), with: ReadEntries(of: [4], entries: [nil]), of: server)
        #expect(kernel.endTurn() == false)
    }

    @Test func `a read that does not fit is looked up again, but not for ever`() throws {
        let lookUps = Fickle.LookUps()
        var machines = MachineRegistry()
        machines.register("fickle") { _ in MachineHost(Fickle(lookUps)) }
        let fleet = try KernelFleet(1, machines: machines)
        try fleet.start("c", machine: "fickle", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        // The machine's cursors are no reason to append or to drop anything.
        #expect(client.number(client.add(7, to: server.uid)[0]) == 7)
        #expect(server.core.lastIndex == 2)
        #expect(!fleet[1].events.contains { if case .effectDropped = $0 { true } else { false } })
        ask([encoded(3 as Int64)], of: server, client, fleet)
        #expect(client.number(1_000) == 7)
        #expect(lookUps.count.withLock { $0 } == 3)
        lookUps.count.withLock { $0 = 0 }
        ask([encoded(Int64.max)], of: server, client, fleet)
        #expect(client.rejection(1_000)?.code == .busy)
        #expect(lookUps.count.withLock { $0 } == 4)
    }
}
