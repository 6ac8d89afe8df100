import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Synchronization

/// Adds what it is given.
struct Adder: StateMachine {
    var sum: Int64 = 0
    init(configuration: MachineConfiguration) {}
    init() {}
    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        sum &+= command
        return sum
    }
    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
}

/// Nodes, the cluster that they pretend to host, and a client of it.
struct Bench {
    var nodes: [TestNode]
    var cluster: TestCluster
    var client: FlotillaClient
    var adder: ClusterClient<Adder>

    /// Starts nodes whose scripts are made from the cluster, and a client that knows the first `endpoints` of them.
    static func with(
        nodes count: Int = 1, endpoints: Int? = nil, _ configure: (inout ClientConfiguration) -> Void = { _ in },
        scripts: (TestCluster) -> [TestNode.Script], _ body: (Bench) async throws -> Void
    ) async throws {
        var nodes: [TestNode] = []
        for number in 1...count { nodes.append(try await TestNode.start("n\(number)")) }
        let cluster = try TestCluster(on: nodes)
        for (node, script) in zip(nodes, scripts(cluster)) { node.follow(script) }
        var configuration = ClientConfiguration()
        configure(&configuration)
        let client = try await FlotillaClient.connect(
            to: nodes.prefix(endpoints ?? count).map(\.address), configuration: configuration)
        let bench = Bench(
            nodes: nodes, cluster: cluster, client: client, adder: client.cluster(cluster.name, of: Adder.self))
        do { try await body(bench) } catch {
            await bench.stop()
            throw error
        }
        await bench.stop()
    }

    private func stop() async {
        await client.shutdown()
        for node in nodes { await node.stop() }
    }
}

/// Counts from any thread.
final class Counted<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    init(_ value: Value) { state = Mutex(value) }
    var value: Value { state.withLock { $0 } }
    /// Changes the value and returns something of it.
    func change<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result { state.withLock { body(&$0) } }
}

/// The code of the `FlotillaError` that something throws; `nil` when it throws none.
func code(_ body: () async throws -> Void) async -> FlotillaError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? FlotillaError)?.code
    }
}

/// Replies with what it is given.
struct Blob: StateMachine {
    struct Bytes: WireCodable, Equatable {
        var buffer: ByteBuffer
        func encode(into target: inout ByteBuffer) { target.writeBlock(buffer) }
        init(buffer: ByteBuffer) { self.buffer = buffer }
        init(from reader: inout WireReader) throws(WireError) {
            buffer = try reader.block(limit: Limits.commandBytesMax)
        }
    }
    init(configuration: MachineConfiguration) {}
    init() {}
    mutating func apply(_ command: Bytes, at context: ApplyContext, effects: inout Effects) -> Bytes { command }
    func answer(_ query: Nothing, at context: QueryContext) -> Nothing { query }
}
