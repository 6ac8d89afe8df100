import FlotillaClient
import FlotillaMachine
import FlotillaNode
import FlotillaWire
import Foundation
import Logging

/// A node in the process of the test, on a port that the system chooses.
struct EmbeddedNode {
    let name: NodeName
    let address: NodeAddress
    private let task: Task<Void, any Error>

    /// Starts a node on a directory and waits until it serves.
    static func start(
        _ name: String, in directory: String, machines: MachineRegistry, handlers: [String: MachineHandler] = [:]
    ) async throws -> EmbeddedNode {
        let configuration = NodeConfiguration(
            name: try NodeName(name), listen: NodeAddress(host: "127.0.0.1", port: 0), dataDirectory: directory)
        let (addresses, continuation) = AsyncThrowingStream.makeStream(of: NodeAddress.self)
        var logger = Logger(label: name)
        logger.logLevel = .error
        let node = FlotillaNode(configuration: configuration, machines: machines, handlers: handlers, logger: logger) {
            continuation.yield($0)
        }
        let task = Task {
            do { try await node.run() } catch {
                continuation.finish(throwing: error)
                throw error
            }
            continuation.finish()
        }
        for try await address in addresses {
            return EmbeddedNode(name: configuration.name, address: address, task: task)
        }
        throw CancellationError()
    }

    /// Asks the node to end, without waiting for it.
    func askToStop() { task.cancel() }

    /// Waits until the node has ended.
    func ended() async throws { try await task.value }
}
