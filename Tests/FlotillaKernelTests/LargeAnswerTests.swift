import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// Answers and replies are bounded by frames, however much is asked for at once.
@Suite struct LargeAnswerTests {
    @Test func `many large answers come in frames that a client accepts, or are refused`() throws {
        let fleet = try KernelFleet(1)
        try fleet.start("c", machine: "kv", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        let key = KeyValue.Key("k")
        var put = ByteBuffer()
        KeyValue.Command.put(key, ByteBuffer(repeating: 7, count: 60_000), ifIndex: nil).encode(into: &put)
        client.submit([put], to: server.uid)
        var query = ByteBuffer()
        KeyValue.Query.get(key).encode(into: &query)
        client.send { buffer in
            buffer.writeFrame(.queries) { buffer in
                let start = buffer.writerIndex
                QueryBatch.begin(target: server.uid, consistency: .consistent, into: &buffer)
                for number in 1_000..<2_000 as Range<UInt64> {
                    QueryBatch.append(correlation: number, into: &buffer) { $0.writeImmutableBuffer(query) }
                }
                QueryBatch.setCount(1_000, from: start, in: &buffer)
            }
        }
        fleet.settle()
        let answered = (1_000..<2_000 as Range<UInt64>).filter { client.results[$0] != nil }
        let refused = (1_000..<2_000 as Range<UInt64>).filter { client.rejection($0)?.code == .busy }
        #expect(answered.count + refused.count == 1_000)
        #expect(answered.count > 400)
        #expect(client.longestFrame <= Limits.frameBytes)
        #expect(client.longestFrame < 1 << 20)
    }
}
