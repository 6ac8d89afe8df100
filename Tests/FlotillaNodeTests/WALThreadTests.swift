import FlotillaNode
import FlotillaStorage
import FlotillaWire
import Foundation
import NIOCore
import Synchronization
import Testing

/// The write-ahead log on its own thread, with real files.
@Suite struct WALThreadTests {
    private let path = NSTemporaryDirectory() + "flotilla-wal-thread-" + UUID().uuidString
    private let nodeID = NodeID(high: 1, low: 2)
    private let files = AsyncFiles()

    private func configuration(start: WALStart) async throws -> WALThread.Configuration {
        var settings = WALSettings(directory: path)
        settings.commandBytes = 10_000
        settings.fileBytes = 1 << 20
        settings.maxTotalBytes = 64 << 20
        try await files.durablyMakeDirectory(path)
        let mode = try await settings.resolveWriteMode(files)
        return WALThread.Configuration(settings: settings, mode: mode, nodeID: nodeID, start: start)
    }

    private func peer(_ number: UInt64) throws -> WALRecord {
        .peer(
            KnownPeer(
                nodeID: NodeID(high: 9, low: number), name: try NodeName("n\(number)"),
                address: NodeAddress(host: "127.0.0.1", port: 1), incarnation: Incarnation(number)))
    }

    @Test func whatIsSubmittedBecomesDurableAndIsReadAgain() async throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        let configuration = try await configuration(start: WALStart(nodeID: nodeID))
        let background = BackgroundThread(name: "flotilla-files")
        let (notices, continuation) = AsyncStream.makeStream(of: DurableNotice.self)
        let thread = WALThread(
            configuration, background: background,
            durable: { notices, _ in for notice in notices { continuation.yield(notice) } },
            failure: { Issue.record($0) })
        for number in 1...100 as ClosedRange<UInt64> {
            var records = [try peer(number)]
            thread.submit(&records)
            #expect(records.isEmpty)
        }
        var expected: UInt64 = 1
        for await notice in notices {
            #expect(notice == .peer(NodeID(high: 9, low: expected)))
            expected += 1
            if expected > 100 { break }
        }
        thread.stop()
        background.stop()
        let node = try await Recovery.run(settings: configuration.settings, nodeID: nodeID, files: files)
        #expect(node.peers.count == 100)
    }

    @Test func aStopMakesWhatWasSubmittedDurable() async throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        let configuration = try await configuration(start: WALStart(nodeID: nodeID))
        let background = BackgroundThread(name: "flotilla-files")
        let (ready, continuation) = AsyncStream.makeStream(of: Void.self)
        let thread = WALThread(
            configuration, background: background, durable: { _, _ in continuation.yield() },
            failure: { Issue.record($0) })
        var records = [try peer(1)]
        thread.submit(&records)
        for await _ in ready { break }
        records = [try peer(2), try peer(3)]
        thread.submit(&records)
        thread.stop()
        background.stop()
        let node = try await Recovery.run(settings: configuration.settings, nodeID: nodeID, files: files)
        #expect(node.peers.count == 3)
    }

    @Test func aFailureIsToldOnce() async throws {
        let configuration = try await configuration(start: WALStart(nodeID: nodeID))
        try FileManager.default.removeItem(atPath: path)
        let background = BackgroundThread(name: "flotilla-files")
        let failures = Mutex<[StorageError]>([])
        let (failed, continuation) = AsyncStream.makeStream(of: Void.self)
        let thread = WALThread(
            configuration, background: background, durable: { _, _ in },
            failure: { error in
                failures.withLock { $0.append(error) }
                continuation.yield()
            })
        for await _ in failed { break }
        var records = [try peer(1)]
        thread.submit(&records)
        thread.stop()
        background.stop()
        #expect(failures.withLock { $0.map(\.code) } == [.fileSystem])
    }
}
