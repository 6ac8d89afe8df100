import FlotillaStorage
import FlotillaWire
import Testing

/// The files of a deleted server go, wherever the process ends meanwhile.
@Suite struct ServerRemovalTests {
    private func recover(_ disk: MemoryDisk) async throws -> RecoveredNode {
        try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: disk.files)
    }

    private func remove(_ disk: MemoryDisk) async -> Bool {
        let worker = StorageWorker(dataDirectory: DoctorDisk.path, files: disk.files)
        let outcome = await worker.run(StorageJob(number: 1, server: Sample.uid(1), work: .removeServer))
        return (try? outcome.result.get()) != nil
    }

    @Test func `after a crash at any operation the next start removes the rest`() async throws {
        let start = MemoryDisk(copying: try await DoctorDisk.make().disk)
        let log = try await TestLog(on: start.disk, start: try await recover(start).start)
        await log.write(.serverDeleted(Sample.uid(1), Sample.clusterID, index: 1, term: 1))
        await log.seal()
        var operations = 0
        var isDone = false
        while !isDone {
            let disk = MemoryDisk(copying: log.disk)
            disk.disk.die(after: operations)
            isDone = await remove(disk)
            for losesPower in [true, false] {
                let after = MemoryDisk(copying: disk.disk)
                if losesPower { after.disk.losePower() }
                let node = try await recover(after)
                #expect(node.lost.isEmpty && node.servers.map(\.creation.uid) == [Sample.uid(2)])
                #expect(node.report.harmless.isEmpty)
                let isThere = try await after.files.list("\(DoctorDisk.path)/servers").contains("\(Sample.uid(1))")
                #expect(node.deletedDirectories == (isThere ? [Sample.uid(1)] : []), "after \(operations)")
                if isDone { #expect(!isThere) }
                #expect(await remove(after), "the rest goes")
                #expect(try await recover(after).deletedDirectories.isEmpty)
            }
            operations += 1
        }
        #expect(operations > 5)
    }
}
