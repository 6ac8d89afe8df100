import FlotillaClient
import FlotillaMachine
import FlotillaNode
import FlotillaWire
import Foundation
import NIOCore
import Testing

/// Has handlers called, and sends back what it is given.
private struct Crier: StateMachine {
    init(configuration: MachineConfiguration) {}

    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
        effects.call(command % 10 == 0 ? "nobody" : "heard", command)
        if let session = context.session { effects.send(command, to: session, mark: .cast) }
        return command
    }

    func answer(_ query: Nothing, at context: QueryContext) -> Nothing { query }

    typealias Message = Int64
}

/// What machines have done in the process of a node, and what they send to its clients.
@Suite struct HandlerTests {
    private struct Unlucky: Error {}

    @Test(.timeLimit(.minutes(1))) func handlersAreCalledInOrderWhateverBecomesOfThem() async throws {
        let path = NSTemporaryDirectory() + "flotilla-handlers-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        var machines = MachineRegistry()
        machines.register(Crier.self, as: "crier")
        let (calls, heard) = AsyncStream.makeStream(of: HandlerCall.self)
        let node = try await EmbeddedNode.start(
            "n1", in: path, machines: machines,
            handlers: [
                "heard": { call in
                    heard.yield(call)
                    if call.argument == ByteBuffer(integer: Int64(3), endianness: .little) { throw Unlucky() }
                }
            ])
        let client = try await FlotillaClient.connect(to: [node.address])
        let name = try ClusterName("crier")
        _ = try await client.startCluster(name, machine: "crier", nodes: [node.name])
        let crier = client.cluster(name, of: Crier.self)
        let (_, messages) = try await crier.messages()
        for number in 1...21 as ClosedRange<Int64> { _ = try await crier.process(number) }
        var taken = calls.makeAsyncIterator()
        for number in 1...21 as ClosedRange<Int64> where number % 10 != 0 {
            let call = await taken.next()
            #expect(call?.argument == ByteBuffer(integer: number, endianness: .little))
            #expect(call?.server == ServerID(cluster: name, node: node.name))
        }
        var told = messages.makeAsyncIterator()
        for number in 1...21 as ClosedRange<Int64> {
            guard case .message(number, mark: .cast) = try await told.next() else {
                Issue.record("message \(number) does not come")
                return
            }
        }
        await client.shutdown()
        node.askToStop()
        try await node.ended()
    }
}
