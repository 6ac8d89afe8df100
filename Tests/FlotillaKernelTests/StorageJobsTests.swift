import FlotillaConsensus
import FlotillaMachine
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel
@testable import FlotillaStorage

enum Samples {
    /// A segment that holds consecutive entries, of which there is no file.
    static func segment(of uid: ServerUID, _ range: ClosedRange<LogIndex>, number: UInt64 = 1) -> Segment {
        let count = range.upperBound - range.lowerBound + 1
        return Segment(
            uid: uid, number: number, kind: .flushed, salt: 1, first: range.lowerBound, last: range.upperBound,
            count: count, entryBytes: count * 100, fileBytes: 4_096, hiding: Segment.Hiding(from: range.lowerBound),
            termRuns: [Segment.TermRun(first: range.lowerBound, term: 1)], configurations: [], lastTime: 0,
            isReadable: true)
    }

    /// A snapshot of which there is no file.
    static func snapshot(of uid: ServerUID, _ index: LogIndex) -> SnapshotFile {
        SnapshotFile(
            directory: SnapshotDirectory(path: "/servers", server: uid, cluster: .none), kind: .snapshot,
            index: index, term: 1, bytes: 100, liveCount: 0)
    }
}

/// What the kernel does when jobs on files end, or fail.
@Suite struct StorageJobsTests {
    private func started() throws -> (KernelFleet, HostedServer, TestClient) {
        let fleet = try KernelFleet(1)
        try fleet.start("c", machine: "counter", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        fleet[1].jobs = []
        return (fleet, server, fleet.client(of: fleet[1]))
    }

    private func end(_ fleet: KernelFleet, with result: Result<StorageOutcome.Value, StorageError>) throws {
        let job = try #require(fleet[1].jobs.first)
        fleet[1].jobs.removeFirst()
        fleet[1].kernel.jobEnded(StorageOutcome(number: job.number, server: job.server, result: result))
        fleet.settle()
    }

    private let readError = StorageError(FileSystemError(operation: "read", path: "/servers/a", errno: 5))

    @Test func `a snapshot that can't be read now is read again`() throws {
        let (fleet, server, client) = try started()
        server.storage.isMachineMissing = true
        fleet[1].kernel.restoreMachine(of: server, from: Samples.snapshot(of: server.uid, 1), nil)
        fleet.settle()
        for round in 0..<3 {
            try end(fleet, with: .failure(readError))
            #expect(server.failure == nil && server.counters.failedReads == UInt64(round + 1))
            fleet.run(milliseconds: 900)
            #expect(fleet[1].jobs.isEmpty, "not at once")
            fleet.run(milliseconds: 200)
        }
        #expect(client.rejection(client.query(server.uid, .local))?.code == .busy, "there is no state to answer from")
        try end(fleet, with: .failure(StorageError(.corrupt, "a block of it is damaged")))
        #expect(server.failure?.message.contains("damaged") == true)
        #expect(server.core.isUnfitToLead)
        #expect(client.rejection(client.query(server.uid, .local))?.code == .halted)
    }

    @Test func `entries that can't be read now are read again, damaged ones are not`() throws {
        let (fleet, server, _) = try started()
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...9))
        server.table.reset(after: 9)
        server.storage.flushed = 9
        server.applied = .zero
        fleet[1].kernel.readForReplay(of: server, through: 9)
        fleet.settle()
        try end(fleet, with: .failure(readError))
        fleet[1].kernel.readForReplay(of: server, through: 9)
        fleet.settle()
        #expect(fleet[1].jobs.isEmpty && server.failure == nil, "not at once")
        fleet.run(milliseconds: 1_100)
        fleet[1].kernel.readForReplay(of: server, through: 9)
        fleet.settle()
        #expect(fleet[1].jobs.count == 1)
        // Another segment shows it by now.
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...9, number: 2))
        try end(fleet, with: .failure(StorageError(.gone, "segment 1 is gone")))
        #expect(server.failure == nil)
        fleet[1].kernel.readForReplay(of: server, through: 9)
        fleet.settle()
        try end(fleet, with: .failure(StorageError(.gone, "segment 2 is gone")))
        #expect(server.failure?.message.contains("segment 2 is gone") == true)
    }

    @Test func `segments go when nobody looks for them any more`() throws {
        let (fleet, server, _) = try started()
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...9))
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 10...19, number: 2))
        server.storage.floor = Samples.snapshot(of: server.uid, 9)
        server.storage.wantsCompaction = true
        fleet[1].kernel.compactIfWanted(server)
        fleet.settle()
        var outcome = CompactionOutcome()
        outcome.needless = [1]
        try end(fleet, with: .success(.compacted(outcome)))
        #expect(server.storage.segments.segments.map(\.number) == [2])
        guard case .removeSegments([1])? = fleet[1].jobs.first?.work else {
            Issue.record("the files are not removed: \(fleet[1].jobs)")
            return
        }
        #expect(server.storage.isWritingSegments, "until the files are gone")
        try end(fleet, with: .success(.done))
        #expect(!server.storage.isWritingSegments && fleet[1].jobs.isEmpty)
    }

    @Test func `a compaction without room is begun again`() throws {
        let (fleet, server, _) = try started()
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...9))
        server.storage.floor = Samples.snapshot(of: server.uid, 9)
        server.storage.wantsCompaction = true
        for errno in [28, 5] as [Int32] {
            fleet[1].kernel.compactIfWanted(server)
            fleet.settle()
            let operation = errno == 28 ? "write" : "read"
            let error = StorageError(FileSystemError(operation: operation, path: "/servers/a", errno: errno))
            try end(fleet, with: .failure(error))
            #expect(fleet[1].jobs.isEmpty && fleet[1].kernel.output.failure == nil)
            fleet.run(milliseconds: 1_100)
            #expect(fleet[1].jobs.count == 1, "after a second")
            server.storage.wantsCompaction = true
            try end(fleet, with: .success(.compacted(CompactionOutcome())))
        }
        fleet[1].jobs = []
        server.storage.wantsCompaction = true
        fleet[1].kernel.compactIfWanted(server)
        fleet.settle()
        let error = StorageError(FileSystemError(operation: "sync", path: "/servers/a", errno: 5))
        fleet[1].kernel.jobEnded(
            StorageOutcome(
                number: try #require(fleet[1].jobs.first).number, server: server.uid, result: .failure(error)))
        #expect(fleet[1].kernel.output.failure != nil, "a disk that can't write ends the node")
    }

    @Test func `a snapshot that is being sent stays, and so does the log behind it`() throws {
        let (fleet, server, _) = try started()
        let old = Samples.snapshot(of: server.uid, 5)
        let new = Samples.snapshot(of: server.uid, 9)
        server.storage.snapshots.insert(old)
        server.storage.outgoing[ServerUID(high: 9, low: 9)] = OutgoingTransfer(at: fleet[1].kernel.now, file: old)
        fleet[1].kernel.written(new, for: server)
        fleet.settle()
        fleet[1].kernel.floorIsDurable(server, 9)
        fleet.settle()
        #expect(server.storage.snapshots.snapshots.contains(old))
        #expect(!fleet[1].jobs.contains { if case .removeSnapshots = $0.work { true } else { false } })
        fleet.run(milliseconds: 4_000)
        #expect(server.storage.outgoing.isEmpty)
        #expect(!server.storage.snapshots.snapshots.contains(old), "it is given up when nobody asks for it")
    }

    @Test func `a snapshot that somebody wants is taken, and answered when it is durable`() throws {
        let (fleet, server, client) = try started()
        #expect(client.number(client.add(3, to: server.uid)[0]) == 3)
        let first = client.ask(.takeSnapshot(server.uid, timeoutMilliseconds: 5_000))
        guard case .snapshot(let order)? = fleet[1].jobs.first?.work else {
            Issue.record("no snapshot is taken: \(fleet[1].jobs)")
            return
        }
        #expect(order.metadata.index == server.applied)
        // What comes now is not in that one.
        #expect(client.number(client.add(4, to: server.uid)[0]) == 7)
        let second = client.ask(.takeSnapshot(server.uid, timeoutMilliseconds: 5_000))
        try end(fleet, with: .success(.snapshot(Samples.snapshot(of: server.uid, order.metadata.index))))
        #expect(client.response(first) == .done && client.response(second) == nil)
        let next = fleet[1].jobs.compactMap { job -> SnapshotOrder? in
            if case .snapshot(let order) = job.work { order } else { nil }
        }
        #expect(next.map(\.metadata.index) == [server.applied])
        fleet.run(milliseconds: 5_100)
        guard case .error(let error)? = client.response(second) else {
            Issue.record("it is never answered")
            return
        }
        #expect(error.code == .timeout)
        let again = client.ask(.takeSnapshot(ServerUID(high: 1, low: 1), timeoutMilliseconds: 5_000))
        guard case .error(let unknown)? = client.response(again) else {
            Issue.record("it is never answered")
            return
        }
        #expect(unknown.code == .unknownServer)
    }

    @Test func `where nothing was applied since the last snapshot none is taken`() throws {
        let (fleet, server, client) = try started()
        server.storage.floor = Samples.snapshot(of: server.uid, server.applied)
        #expect(client.response(client.ask(.takeSnapshot(server.uid, timeoutMilliseconds: 5_000))) == .done)
        #expect(fleet[1].jobs.isEmpty)
    }

    @Test func `nothing is flushed between the end of a transfer and the installation`() throws {
        let (fleet, server, client) = try started()
        #expect(client.number(client.add(3, to: server.uid)[0]) == 3)
        let kernel = fleet[1].kernel
        let name = SnapshotName(index: 9, term: 1)
        server.storage.incoming = IncomingTransfer(
            name: name, sender: server.uid, position: .file(offset: 0), askedAt: kernel.now, progressAt: kernel.now,
            isWhole: true)
        kernel.installIfWhole(server)
        fleet.settle()
        let metadata = SnapshotMetadata(
            cluster: server.creation.clusterID, index: 9, term: 1, time: 1, machineVersion: 0,
            machine: server.creation.machine, configuration: server.core.configuration, configurationIndex: .zero)
        var installed = Samples.segment(of: server.uid, 2...2, number: 7)
        installed.kind = .installed(index: 9, term: 1)
        try end(fleet, with: .success(.committed(Samples.snapshot(of: server.uid, 9), metadata, [installed])))
        guard case .restore? = fleet[1].jobs.first?.work else {
            Issue.record("the machine is not made: \(fleet[1].jobs)")
            return
        }
        kernel.startFlush(of: server, through: server.table.lastIndex)
        fleet.settle()
        #expect(!fleet[1].jobs.contains { if case .flush = $0.work { true } else { false } })
        #expect(server.storage.segments.lookUp(2)?.number == 7)
    }

    /// The same snapshot of two servers may differ byte by byte, so nothing of the one goes with anything of the other.
    @Test(arguments: [true, false])
    func `a transfer that goes on with another sender begins anew`(isWriting: Bool) throws {
        let (fleet, server, _) = try started()
        let kernel = fleet[1].kernel
        let name = SnapshotName(index: 9, term: 1)
        let (first, second) = (ServerUID(high: 9, low: 1), ServerUID(high: 9, low: 2))
        server.storage.incoming = IncomingTransfer(
            name: name, sender: first, position: .file(offset: 100), askedAt: kernel.now, progressAt: kernel.now,
            isWriting: isWriting)
        kernel.wantSnapshot(9, term: 1, of: server, from: first)
        #expect(server.storage.incoming?.position == .file(offset: 100), "the same sender only repeats itself")
        kernel.wantSnapshot(9, term: 1, of: server, from: second)
        #expect(server.storage.incoming?.sender == second)
        // The part of the first sender that was being written may even have been its last.
        if isWriting { kernel.wrotePart(of: name, next: nil, for: server) }
        #expect(server.storage.incoming?.position == .file(offset: 0))
        #expect(server.storage.incoming?.isWhole == false && server.storage.incoming?.isWriting == false)
        kernel.wrotePart(of: name, next: nil, for: server)
        #expect(server.storage.incoming?.isWhole == true)
    }

    @Test func `what is kept for followers behind a snapshot is bounded in bytes`() throws {
        var configuration = KernelConfiguration()
        configuration.logTailBytes = 500
        let fleet = try KernelFleet(1, configuration: configuration)
        try fleet.start("c", machine: "counter", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        while server.applied < 9 { _ = client.add(1, to: server.uid) }
        let last = server.applied
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 1...5))
        _ = server.storage.segments.add(Samples.segment(of: server.uid, 6...last, number: 2))
        server.storage.flushed = last
        let file = Samples.snapshot(of: server.uid, last)
        server.storage.snapshots.insert(file)
        fleet[1].kernel.floorIsDurable(server, last)
        #expect(server.core.logTerms.baseIndex == 5, "of 900 bytes the older segment is too much")
    }

    @Test func `only so many snapshots come to a node at once`() throws {
        var configuration = KernelConfiguration()
        configuration.incomingSnapshots = 1
        let fleet = try KernelFleet(1, configuration: configuration)
        for name in ["a", "b"] { try fleet.start(name, machine: "counter", on: [1]) }
        let first = try #require(fleet.server("a", on: 1))
        let second = try #require(fleet.server("b", on: 1))
        for server in [first, second] {
            fleet[1].kernel.wantSnapshot(9, term: 1, of: server, from: ServerUID(high: 9, low: 9))
        }
        #expect(first.storage.incoming != nil && second.storage.incoming == nil)
        first.storage.incoming = nil
        fleet[1].kernel.wantSnapshot(9, term: 1, of: second, from: ServerUID(high: 9, low: 9))
        #expect(second.storage.incoming != nil, "it has its turn when it is offered again")
    }
}
