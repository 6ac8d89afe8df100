import FlotillaConsensus
import FlotillaWire
import NIOCore
import Testing

@testable import FlotillaKernel

/// Frames that lie or are cut: refused with an error, without a trap and without memory for what they promise.
@Suite struct BrokenFrameTests {
    /// A commands frame of one good command and one item whose bytes `broken` writes.
    private func frame(to server: ServerUID, count: UInt32 = 2, _ broken: (inout ByteBuffer) -> Void) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeFrame(.commands) { buffer in
            let start = buffer.writerIndex
            CommandBatch.begin(target: server, into: &buffer)
            CommandBatch.append(correlation: 1, into: &buffer) { buffer in
                CommandPrefix().encode(into: &buffer)
                buffer.writeLittle(Int64(5))
            }
            broken(&buffer)
            buffer.setInteger(count, at: start + 16, endianness: .little)
        }
        return buffer
    }

    private func refusal(count: UInt32 = 2, _ broken: (inout ByteBuffer) -> Void) throws -> (WireError?, HostedServer) {
        let fleet = try KernelFleet(1)
        try fleet.start("c", on: [1])
        let server = try #require(fleet.server("c", on: 1))
        let client = fleet.client(of: fleet[1])
        let link = try #require(client.link)
        var bytes = frame(to: server.uid, count: count, broken)
        var refusal: WireError?
        do throws(WireError) { try fleet[1].kernel.receive(&bytes, on: link) } catch { refusal = error }
        fleet.settle()
        // What stood before the broken item was taken in, and the server goes on.
        let another = fleet.client(of: fleet[1])
        _ = another.add(1, to: server.uid)
        return (refusal, server)
    }

    @Test(arguments: [0xffff_ffff, 0x7fff_ffff, 9_000_000, 100] as [UInt32])
    func `a length that lies is refused`(length: UInt32) throws {
        let (error, server) = try refusal { buffer in
            buffer.writeLittle(length)
            buffer.writeLittle(UInt32(0))
            buffer.writeLittle(UInt64(2))
            buffer.writeRepeatingByte(1, count: 20)
        }
        #expect(error?.code == .malformed)
        #expect(server.applied == 3, "the noop, the good command and the one after")
    }

    @Test func `a count that lies is refused`() throws {
        #expect(
            try refusal(count: 3) { CommandBatch.append(correlation: 2, into: &$0) { $0.writeLittle(UInt32(1)) } }.0
                != nil)
        #expect(try refusal(count: 0xffff_ffff) { _ in }.0?.code == .limit)
    }

    @Test func `a wrong checksum and an unknown prefix are refused`() throws {
        let (checksum, _) = try refusal { buffer in
            let start = buffer.writerIndex
            CommandBatch.append(correlation: 2, into: &buffer) { $0.writeLittle(UInt64(1)) }
            buffer.setInteger(UInt32(0), at: start + 4, endianness: .little)
        }
        #expect(checksum?.message.contains("checksum") == true)
        let (prefix, _) = try refusal { CommandBatch.append(correlation: 2, into: &$0) { $0.writeLittle(UInt64.max) } }
        #expect(prefix?.message.contains("prefix") == true)
        for place in [
            CommandPrefix.Session(id: 0, serial: 1, lowestOpenSerial: 1),
            CommandPrefix.Session(id: 2, serial: 1, lowestOpenSerial: 2),
            CommandPrefix.Session(id: 2, serial: 1, lowestOpenSerial: 0),
            CommandPrefix.Session(id: 2, serial: 8_193, lowestOpenSerial: 1),
        ] {
            let (session, _) = try refusal { buffer in
                CommandBatch.append(correlation: 2, into: &buffer) { buffer in
                    CommandPrefix(session: place).encode(into: &buffer)
                    buffer.writeLittle(Int64(1))
                }
            }
            #expect(session?.message.contains("prefix") == true, "\(place)")
        }
        #expect(CommandPrefix.Session(id: 2, serial: 8_192, lowestOpenSerial: 1).isInOrder)
    }

    @Test func `a hundred thousand mutated frames of clients and nodes trap nothing`() throws {
        let fleet = try KernelFleet(2)
        try fleet.start("c", on: [1, 2])
        let server = try #require(fleet.server("c", on: 1))
        var random = SplitMix64(seed: 7)
        let commands = frame(to: server.uid) { buffer in
            CommandBatch.append(correlation: 2, into: &buffer) { buffer in
                CommandPrefix().encode(into: &buffer)
                buffer.writeLittle(Int64(1))
            }
        }
        var queries = ByteBuffer()
        queries.writeFrame(.queries) { buffer in
            QueryBatch.begin(target: server.uid, consistency: .consistent, into: &buffer)
            QueryBatch.append(correlation: 1, into: &buffer) { _ in }
            QueryBatch.setCount(1, from: FrameHeader.byteCount, in: &buffer)
        }
        for round in 0..<100_000 {
            // A stranger, or a client: whatever it sends, the kernel answers or throws.
            let link = fleet[1].kernel.accepted()
            if round % 8 != 0 {
                var hello = ByteBuffer()
                hello.writeFrame(.hello) { Hello(role: .client(1)).encode(into: &$0) }
                try fleet[1].kernel.receive(&hello, on: link.id)
            }
            var bytes = round % 2 == 0 ? commands : queries
            for _ in 0...(random.next() % 4) {
                let place = 4 + Int(random.next() % UInt64(bytes.readableBytes - 4))
                bytes.setInteger(UInt8(truncatingIfNeeded: random.next()), at: place)
            }
            // A frame that has turned into the request to delete the cluster is no broken one.
            if bytes.getInteger(at: bytes.readerIndex + 4) == FrameType.deleteCluster.rawValue { continue }
            // The error is what is asked for; what counts is that there is nothing worse.
            try? fleet[1].kernel.receive(&bytes, on: link.id)
            fleet[1].kernel.closed(link.id, reason: "the round is over")
            if round % 1_000 == 0 { fleet.settle() }
        }
        let client = fleet.client(of: fleet[1])
        let number = client.add(1, to: server.uid)[0]
        #expect(client.results[number] != nil)
    }
}
