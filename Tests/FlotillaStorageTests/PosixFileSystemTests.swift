import FlotillaStorage
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// The operating system's files, in a directory of their own.
@Suite struct PosixFileSystemTests {
    /// A directory that is removed at the end of a test.
    private final class Directory {
        let path = NSTemporaryDirectory() + "flotilla-storage-" + UUID().uuidString
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let files = AsyncFiles()

    @Test func whatIsWrittenIsRead() async throws {
        let directory = try Directory()
        let path = directory.path + "/file"
        let memory = AlignedMemory(capacity: 8_192)
        memory.base.storeBytes(of: 0x1234_5678, toByteOffset: 5_000, as: UInt32.self)
        try await files.with(path, [.write, .createNew]) { (file) async throws(FileSystemError) in
            try await files.perform(.zeroFill(file, count: 3 << 20))
            try await files.perform(.write(file, at: 4_096, count: 8_192, from: memory))
            try await files.perform(.writeOut(file, at: 4_096, count: 8_192))
            try await files.perform(.syncData(file))
            try await files.perform(.syncAll(file))
        }
        #expect(try await files.size(path) == 3 << 20)
        let back = AlignedMemory(capacity: 4 << 20)
        let count = try await files.with(path) { (file) async throws(FileSystemError) in
            try await files.read(file, at: 4_096, count: 4 << 20, into: back)
        }
        #expect(count == (3 << 20) - 4_096)
        #expect(back.bytes.loadUnaligned(fromByteOffset: 5_000, as: UInt32.self) == 0x1234_5678)
    }

    @Test func errorsNameTheOperationAndThePath() async throws {
        let directory = try Directory()
        let path = directory.path + "/none"
        let missing = await #expect(throws: FileSystemError.self) { try await files.open(path) }
        #expect(missing?.isNotFound == true && missing?.path == path && missing?.operation == "open")
        try await files.perform(.close(try await files.open(path, [.write, .createNew])))
        let taken = await #expect(throws: FileSystemError.self) { try await files.open(path, [.write, .createNew]) }
        #expect(taken?.isAlreadyThere == true)
        let readOnly = try await files.open(path)
        let refused = await #expect(throws: FileSystemError.self) {
            try await files.perform(.write(readOnly, at: 0, count: 1, from: AlignedMemory(capacity: 1)))
        }
        #expect(refused?.path == path && refused?.operation == "write")
    }

    @Test func directoriesAreMadeListedAndFilesRenamed() async throws {
        let directory = try Directory()
        try await files.durablyMakeDirectory(directory.path + "/a/b/c")
        try await files.durablyMakeDirectory(directory.path + "/a/b/c")
        let memory = AlignedMemory(capacity: 10)
        try await files.durablyReplace("x", in: directory.path + "/a/b", count: 10, from: memory)
        try await files.durablyReplace("x", in: directory.path + "/a/b", count: 7, from: memory)
        #expect(try await files.list(directory.path + "/a/b") == ["c", "x"])
        #expect(try await files.size(directory.path + "/a/b/x") == 7)
    }

    @Test func aLockKeepsASecondOpenerOut() async throws {
        let directory = try Directory()
        let first = try await DataDirectory.open(
            path: directory.path, name: Sample.name("n1"), newNodeID: Sample.nodeID, files: files)
        let error = await #expect(throws: StorageError.self) {
            try await DataDirectory.open(
                path: directory.path, name: Sample.name("n1"), newNodeID: Sample.nodeID, files: AsyncFiles())
        }
        #expect(error?.code == .locked)
        try await first.close(files)
        let second = try await DataDirectory.open(
            path: directory.path, name: Sample.name("n1"), newNodeID: Sample.nodeID, files: files)
        #expect(second.incarnation == Incarnation(2))
        try await second.close(files)
    }

    @Test(arguments: WALSyncMethod.allCases)
    func aLogIsWrittenAndReadOnRealFiles(method: WALSyncMethod) async throws {
        let directory = try Directory()
        var settings = TestLog.settings(method: method)
        settings.directory = directory.path
        let mode = try await settings.resolveWriteMode(files)
        let preparer = WALFilePreparer(settings: settings, mode: mode, nodeID: Sample.nodeID)
        let completions = CompletionQueue()
        let log = WriteAheadLog(
            settings: settings, mode: mode, start: WALStart(nodeID: Sample.nodeID),
            fileSystem: PosixFileSystem { completions.add($0) },
            handlers: WriteAheadLog.Handlers(
                durable: { _, _ in }, failure: { Issue.record($0) }, prepare: { _, _ in }, remove: { _ in }))
        log.start()
        for sequence in 1...3 as ClosedRange<UInt64> {
            log.fileReady(try await preparer.prepare(sequence: sequence, salt: sequence, files: files))
        }
        log.append([.serverCreated(Sample.creation(1))])
        for index in 1...9 as ClosedRange<UInt64> {
            log.append([Sample.entries(1, index...index, term: 1, body: 9_000)])
            while case let arrived = completions.take(), !arrived.isEmpty { arrived.forEach(log.complete) }
        }
        log.stop()
        while case let arrived = completions.take(), !arrived.isEmpty { arrived.forEach(log.complete) }
        #expect(log.isStopped)
        let node = try await Recovery.run(settings: settings, nodeID: Sample.nodeID, files: files)
        #expect(node.servers.first?.table.lastIndex == 9)
        #expect(try await files.list(directory.path).count == 4)
    }
}
