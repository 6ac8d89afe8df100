import FlotillaClient
import FlotillaMachine
import FlotillaTestNode
import FlotillaWire
import NIOCore
import Testing

@Suite("A node that does not keep to the protocol", .timeLimit(.minutes(1)))
struct ProtocolTests {
    static func frame(type: UInt8, _ body: [UInt8] = []) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeLittle(UInt32(FrameHeader.countedByteCount + body.count))
        buffer.writeLittle(UInt32(type))
        buffer.writeLittle(UInt64(0))
        buffer.writeBytes(body)
        return buffer
    }

    @Test("Frames of an unknown type are skipped and counted")
    func unknownFrames() async throws {
        try await Bench.with { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    received.commands.isEmpty
                        ? leads(received)
                        : [.bytes(Self.frame(type: 250, [1, 2, 3])), .bytes(Self.frame(type: 16))] + leads(received)
                }
            ]
        } _: { bench in
            let result = try await bench.adder.process(1)
            #expect(result.reply == 1)
            #expect(await bench.client.counters().unknownFrames == 2)
        }
    }

    @Test(
        "Garbage closes the connection, and the outcome of a command without a session is unknown",
        arguments: [
            Array(repeating: UInt8(0xff), count: 64), Array(repeating: 0, count: 64), Array("HTTP/1.1 400".utf8),
            [20, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        ])
    func garbage(_ bytes: [UInt8]) async throws {
        try await Bench.with({ $0.exactlyOnce = false }) { cluster in
            let leads = cluster.leads(Adder())
            return [{ $0.commands.isEmpty ? leads($0) : [.bytes(ByteBuffer(bytes: bytes))] }]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .outcomeUnknown)
            #expect(await bench.client.counters().connectionsLost == 1)
            let sum = try await bench.adder.query(Nothing())
            #expect(sum == 0)
        }
    }

    @Test("A results frame whose lengths lie closes the connection")
    func lyingLengths() async throws {
        try await Bench.with({ $0.exactlyOnce = false }) { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard let item = received.commands.first else { return leads(received) }
                    var body = ByteBuffer()
                    ResultBatch.begin(server: cluster.uid(cluster.nodes[0]), term: 1, into: &body)
                    body.writeLittle(item.correlation)
                    body.writeLittle(UInt64(1))
                    body.writeLittle(UInt32(1 << 30))
                    ResultBatch.setCount(1, from: 0, in: &body)
                    return [.bytes(Self.frame(type: FrameType.results.rawValue, Array(body.readableBytesView)))]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .outcomeUnknown)
        }
    }

    @Test("A frame that is too long closes the connection")
    func oversize() async throws {
        try await Bench.with({ $0.exactlyOnce = false }) { cluster in
            let leads = cluster.leads(Adder())
            return [
                { received in
                    guard !received.commands.isEmpty else { return leads(received) }
                    var bytes = ByteBuffer()
                    bytes.writeLittle(UInt32(Limits.frameBytes + 1))
                    bytes.writeLittle(UInt64(65))
                    bytes.writeLittle(UInt32(0))
                    return [.bytes(bytes)]
                }
            ]
        } _: { bench in
            #expect(await code { _ = try await bench.adder.process(1) } == .outcomeUnknown)
        }
    }

    @Test("A node that refuses the hello is no node to talk to, and its reason is passed on")
    func refusedHello() async throws {
        let node = try await TestNode.start("n1")
        node.follow { received in
            guard case .hello = received else { return [] }
            let error = ClientResponse.error(FlotillaError(.refused, "protocol 9.0 is spoken here"))
            return [.bytes(error.frame(0)), .close]
        }
        var configuration = ClientConfiguration()
        configuration.timeout = .milliseconds(200)
        do {
            _ = try await FlotillaClient.connect(to: [node.address], configuration: configuration)
            Issue.record("the client connected")
        } catch {
            #expect(error.code == .unreachable)
            #expect(error.message.contains("protocol 9.0 is spoken here"))
        }
        await node.stop()
    }

    @Test("A welcome that is longer than allowed before the hello is done closes the connection")
    func longWelcome() async throws {
        let node = try await TestNode.start("n1")
        node.follow { received in
            guard case .hello = received else { return [] }
            return [.bytes(Self.frame(type: 2, Array(repeating: 1, count: Limits.frameBytesBeforeHello)))]
        }
        var configuration = ClientConfiguration()
        configuration.timeout = .milliseconds(200)
        #expect(
            await code { _ = try await FlotillaClient.connect(to: [node.address], configuration: configuration) }
                == .unreachable)
        await node.stop()
    }
}
