import FlotillaStorage
import FlotillaWire
import Synchronization
import Testing

/// What a long start says of itself.
@Suite struct RecoveryProgressTests {
    @Test func `tells of every server and every log file, in order`() async throws {
        let told = Mutex<[RecoveryProgress]>([])
        let disk = MemoryDisk(copying: try await DoctorDisk.make().disk)
        _ = try await Recovery.run(
            settings: TestLog.settings(), nodeID: Sample.nodeID, dataDirectory: DoctorDisk.path, files: disk.files
        ) { now in told.withLock { $0.append(now) } }
        let all = told.withLock { $0 }
        #expect(all.prefix(2) == [.servers(0, of: 2), .servers(1, of: 2)])
        let files = all.count - 2
        #expect(files > 0 && all.dropFirst(2).elementsEqual((0..<files).map { .logFiles($0, of: files) }))
    }
}
