import FlotillaClient
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import Foundation
import NIOCore
import Synchronization
import Testing

/// Nodes that are started and stopped inside one process.
@Suite struct EmbeddedNodeTests {
    private let path = NSTemporaryDirectory() + "flotilla-embedded-" + UUID().uuidString

    /// A snapshot on which the test keeps its thumb.
    private final class Gate: Sendable {
        static let shared = Gate()
        let began = DispatchSemaphore(value: 0)
        let go = DispatchSemaphore(value: 0)
    }

    /// Counts; writing it down takes until the gate opens.
    private struct Held: StateMachine {
        var sum: Int64 = 0

        init(configuration: MachineConfiguration) {}

        mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
            sum += command
            return sum
        }

        func answer(_ query: Int64, at context: QueryContext) -> Int64 { sum }

        func snapshot() -> StateSnapshot? {
            StateSnapshot(from: Optional(sum)) { rest in
                guard let sum = rest else { return nil }
                rest = nil
                Gate.shared.began.signal()
                Gate.shared.go.wait()
                var piece = ByteBuffer()
                sum.encode(into: &piece)
                return piece
            }
        }

        mutating func restore(_ piece: ByteBuffer) throws(WireError) { sum = try Int64(wholePiece: piece) }
    }

    private func isLocked() async throws -> Bool {
        let files = AsyncFiles()
        do {
            let directory = try await DataDirectory.open(
                path: path, walPath: nil, name: try NodeName("n1"), newNodeID: NodeID(high: 0, low: 1), files: files)
            try await directory.close(files)
            return false
        } catch {
            guard (error as? StorageError)?.code == .locked else { throw error }
            return true
        }
    }

    @Test(.timeLimit(.minutes(1))) func theDirectoryStaysLockedUntilTheLastJobHasEnded() async throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        var machines = MachineRegistry()
        machines.register(Held.self, as: "held")
        let node = try await EmbeddedNode.start("n1", in: path, machines: machines)
        let client = try await FlotillaClient.connect(to: [node.address])
        _ = try await client.startCluster(try ClusterName("held"), machine: "held", nodes: [node.name])
        let cluster = client.cluster(try ClusterName("held"), of: Held.self)
        #expect(try await cluster.process(3).reply == 3)
        let snapshot = Task { try await cluster.takeSnapshot() }
        // A thread of the test's own waits: it must not hold one of those that tasks run on.
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                Gate.shared.began.wait()
                continuation.resume()
            }
        }
        node.askToStop()
        await client.shutdown()
        _ = await snapshot.result
        // Only the job keeps the node now. Nothing is waited for: a node that lets go too early is given the time to.
        for _ in 0..<20 {
            #expect(try await isLocked())
            try await Task.sleep(for: .milliseconds(10))
        }
        Gate.shared.go.signal()
        try await node.ended()
        #expect(try await !isLocked())
        let again = try await EmbeddedNode.start("n1", in: path, machines: machines)
        let next = try await FlotillaClient.connect(to: [again.address])
        #expect(try await next.cluster(try ClusterName("held"), of: Held.self).process(4).reply == 7)
        await next.shutdown()
        again.askToStop()
        try await again.ended()
    }
}
