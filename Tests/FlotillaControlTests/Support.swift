import FlotillaControl
import FlotillaMachine
import FlotillaMachines
import FlotillaTestNode
import FlotillaWire
import Foundation
import Synchronization

/// What a command wrote and how it ended.
struct Ran {
    var exitCode: Int32
    var output: String
    var errors: String

    /// The output as JSON.
    func json<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(output.utf8))
    }
}

/// Runs the command line with these arguments.
func flotilla(_ arguments: String..., environment: [String: String] = [:]) async -> Ran {
    await flotilla(arguments, environment: environment)
}

/// Runs the command line with these arguments.
func flotilla(_ arguments: [String], environment: [String: String] = [:]) async -> Ran {
    let output = Gathered()
    let errors = Gathered()
    let context = ControlContext(output: output.sink, errors: errors.sink, environment: environment)
    let exitCode = await ControlCommandLine.run(arguments, in: context)
    return Ran(exitCode: exitCode, output: output.text, errors: errors.text)
}

/// Collects bytes.
final class Gathered: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
    var sink: ControlOutput { ControlOutput { more in self.bytes.withLock { $0 += more } } }
}

/// Runs something against one node that leads a cluster.
func withNode(
    machine: String = "kv", cluster name: String = "kv",
    _ script: (TestCluster) throws -> TestNode.Script = { $0.leadsKeyValue() },
    _ body: (_ endpoint: String, TestNode) async throws -> Void
) async throws {
    let node = try await TestNode.start("n1")
    let cluster = try TestCluster(name, machine: machine, on: [node])
    node.follow(try script(cluster))
    do { try await body(node.address.description, node) } catch {
        await node.stop()
        throw error
    }
    await node.stop()
}

extension TestCluster {
    func leadsKeyValue() -> TestNode.Script {
        leads(KeyValue())
    }

    func leadsCounter() -> TestNode.Script {
        leads(Counter())
    }
}
