import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel
@testable import FlotillaStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Commands that are refused since too many entries are in memory are taken again, though no log file is full.
@Suite struct MemoryBoundTests {
    private static let bound = 1 << 20

    private func fleet() throws -> KernelFleet {
        var configuration = KernelConfiguration()
        configuration.memoryTableBytes = Self.bound
        return try KernelFleet(1, configuration: configuration)
    }

    /// Does every flush that is asked for; returns of how many servers.
    private func flush(_ fleet: KernelFleet) -> Int {
        let jobs = fleet[1].jobs
        fleet[1].jobs = []
        var count = 0
        for job in jobs {
            guard case .flush(let regions, let number, let salt) = job.work, let first = regions.first?.first,
                let last = regions.last?.last
            else { continue }
            let segment = Segment(
                uid: job.server, number: number, kind: .flushed, salt: salt, first: first, last: last,
                count: last - first + 1, entryBytes: regions.reduce(0) { $0 + $1.bytes.readableBytes }, fileBytes: 0,
                hiding: .nothing, termRuns: [], configurations: [], lastTime: 0, isReadable: true)
            fleet[1].kernel.jobEnded(
                StorageOutcome(number: job.number, server: job.server, result: .success(.flushed([segment]))))
            count += 1
        }
        return count
    }

    /// Puts into each cluster in turn until it is refused; returns how often.
    private func fill(_ servers: [ServerUID], _ client: TestClient, valueBytes: Int) throws -> Int {
        for count in 0..<10_000 {
            let value = ByteBuffer(repeating: 1, count: valueBytes)
            var command = ByteBuffer()
            KeyValue.Command.put(KeyValue.Key("key"), value, ifIndex: nil).encode(into: &command)
            let number = client.submit([command], to: servers[count % servers.count])[0]
            guard let refusal = client.rejections[number] else { continue }
            #expect(refusal.code == .busy)
            #expect(refusal.message.contains("memory-table-max-bytes"))
            return count
        }
        Issue.record("nothing was refused")
        return 0
    }

    private func servers(_ count: Int, _ fleet: KernelFleet) throws -> [ServerUID] {
        try (0..<count).map { number in
            try fleet.start("kv-\(number)", machine: "kv", on: [1])
            return try #require(fleet.server("kv-\(number)", on: 1)).uid
        }
    }

    @Test func `a server is flushed before the log file is full`() throws {
        let fleet = try fleet()
        let servers = try servers(1, fleet)
        let client = fleet.client(of: fleet[1])
        let first = try fill(servers, client, valueBytes: 1_000)
        #expect(flush(fleet) == 0)
        fleet.run(milliseconds: 50)
        #expect(flush(fleet) == 1)
        #expect(fleet[1].kernel.memoryBytes < Self.bound / 2)
        #expect(try fill(servers, client, valueBytes: 1_000) > first / 2)
    }

    @Test func `small servers are flushed, no more of them than necessary`() throws {
        let fleet = try fleet()
        let servers = try servers(40, fleet)
        let client = fleet.client(of: fleet[1])
        // Each has less than would be flushed when a log file is full.
        _ = try fill(servers, client, valueBytes: 1_000)
        fleet.run(milliseconds: 50)
        let flushed = flush(fleet)
        #expect((15...25).contains(flushed), "\(flushed)")
        #expect(fleet[1].kernel.memoryBytes <= Self.bound / 2)
        fleet.run(milliseconds: 50)
        #expect(flush(fleet) == 0)
        #expect(try fill(servers, client, valueBytes: 1_000) > 200)
    }

    @Test func `without room on the disk it is not tried all the time`() throws {
        let fleet = try fleet()
        let servers = try servers(1, fleet)
        _ = try fill(servers, fleet.client(of: fleet[1]), valueBytes: 1_000)
        fleet.run(milliseconds: 50)
        let job = try #require(fleet[1].jobs.first)
        fleet[1].jobs = []
        let error = StorageError(FileSystemError(operation: "write", path: "segment", errno: ENOSPC))
        fleet[1].kernel.jobEnded(StorageOutcome(number: job.number, server: job.server, result: .failure(error)))
        fleet.run(milliseconds: 500)
        #expect(fleet[1].jobs.isEmpty)
        fleet.run(milliseconds: 600)
        #expect(flush(fleet) == 1)
    }
}
