import FlotillaStorage
import FlotillaWire
import Glibc
import Testing

@Suite struct DataDirectoryTests {
    private let disk = MemoryDisk()

    private func open(
        _ name: String = "n1", walPath: String? = nil, newNodeID: NodeID = Sample.nodeID
    ) async throws
        -> DataDirectory
    {
        try await DataDirectory.open(
            path: "/data/n1", walPath: walPath, name: Sample.name(name), newNodeID: newNodeID, files: disk.files)
    }

    @Test func aDirectoryKeepsItsIdentityAndRaisesItsIncarnation() async throws {
        let first = try await open()
        #expect(first.nodeID == Sample.nodeID && first.incarnation == Incarnation(1))
        #expect(first.walPath == "/data/n1/wal")
        try await first.close(disk.files)
        let second = try await open(newNodeID: NodeID(high: 3, low: 3))
        #expect(second.nodeID == Sample.nodeID && second.incarnation == Incarnation(2))
    }

    @Test func theIncarnationIsDurableBeforeAnybodyHearsOfIt() async throws {
        let first = try await open()
        try await first.close(disk.files)
        disk.disk.losePower()
        #expect(try await open().incarnation == Incarnation(2))
        #expect(
            disk.disk.journal.suffix(4) == [
                "write /data/n1/node.tmp 0 \(disk.disk.contents("/data/n1/node").count)", "sync /data/n1/node.tmp",
                "rename /data/n1/node.tmp /data/n1/node", "sync /data/n1",
            ])
    }

    @Test func aSecondProcessIsRefusedWithThePath() async throws {
        _ = try await open()
        let error = await #expect(throws: StorageError.self) { try await open() }
        #expect(error?.code == .locked)
        #expect(error?.message.contains("/data/n1") == true)
    }

    @Test func anotherNodesNameIsRefusedAndTheLockLetGo() async throws {
        try await open().close(disk.files)
        let error = await #expect(throws: StorageError.self) { try await open("n2") }
        #expect(error?.code == .wrongNode)
        #expect(try await open().incarnation == Incarnation(2))
    }

    @Test func anUnknownMajorVersionIsRefused() async throws {
        try await open().close(disk.files)
        disk.disk.change("/data/n1/node") { bytes in
            bytes[8] = 9
            let checksum = Checksum.crc32c(Array(bytes.dropLast(4)))
            withUnsafeBytes(of: checksum.littleEndian) {
                bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: $0)
            }
        }
        let error = await #expect(throws: StorageError.self) { try await open() }
        #expect(error?.code == .version)
    }

    @Test func everyDamagedByteOfTheIdentityIsToldWithItsFile() async throws {
        try await open().close(disk.files)
        let whole = disk.disk.contents("/data/n1/node")
        for place in whole.indices {
            disk.disk.change("/data/n1/node") {
                $0 = whole; $0[place] ^= 0x10
            }
            let error = await #expect(throws: StorageError.self) { try await open() }
            #expect(error?.code == .corrupt && error?.damages.first?.file == "/data/n1/node")
        }
        for length in 0..<whole.count {
            disk.disk.change("/data/n1/node") { $0 = Array(whole.prefix(length)) }
            let error = await #expect(throws: StorageError.self) { try await open() }
            #expect(error?.code == .corrupt)
        }
    }

    @Test func theLogsDirectoryMustBeThisNodes() async throws {
        try await open(walPath: "/fast/wal").close(disk.files)
        let missing = await #expect(throws: StorageError.self) { try await open(walPath: "/other/wal") }
        #expect(missing?.code == .wrongNode)
        try await DataDirectory.open(
            path: "/data/n2", walPath: "/other/wal", name: Sample.name("n2"), newNodeID: NodeID(high: 4, low: 4),
            files: disk.files
        ).close(disk.files)
        let wrong = await #expect(throws: StorageError.self) { try await open(walPath: "/other/wal") }
        #expect(wrong?.code == .wrongNode)
        #expect(try await open(walPath: "/fast/wal").incarnation == Incarnation(2))
    }

    @Test func aCrashAfterAnyOperationOfTheFirstStartCanBeRepeated() async throws {
        for operations in 0..<60 {
            let disk = MemoryDisk()
            disk.disk.die(after: operations)
            let opened = try? await DataDirectory.open(
                path: "/data/n1", name: Sample.name("n1"), newNodeID: Sample.nodeID, files: disk.files)
            disk.disk.losePower()
            let next = MemoryDisk(copying: disk.disk)
            let again = try await DataDirectory.open(
                path: "/data/n1", name: Sample.name("n1"), newNodeID: Sample.nodeID, files: next.files)
            if let opened { #expect(again.incarnation > opened.incarnation) }
        }
    }
}

/// A disk in memory and the background jobs' view of it.
struct MemoryDisk {
    let disk: MemoryFileSystem
    let files: AsyncFiles

    init(copying other: MemoryFileSystem = MemoryFileSystem()) {
        let router = Router(log: CompletionQueue())
        let disk = MemoryFileSystem(copying: other) { router.route($0) }
        self.disk = disk
        files = AsyncFiles { handler in
            router.jobs = handler
            return Tagged(disk: disk)
        }
    }
}
