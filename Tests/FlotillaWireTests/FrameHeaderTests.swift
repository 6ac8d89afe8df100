import FlotillaWire
import NIOCore
import Testing

struct FrameHeaderTests {
    private func bytes(length: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) } + [33, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    }

    private func load(_ bytes: [UInt8], limit: Int) throws -> FrameHeader? {
        try bytes.withUnsafeBytes { bytes in try FrameHeader.load(from: bytes, limit: limit) }
    }

    @Test("Every field stands where the format says")
    func layout() throws {
        let header = FrameHeader(type: 33, bodyLength: 88, correlation: 0x0807_0605_0403_0201)
        var stored = [UInt8](repeating: 0xee, count: FrameHeader.byteCount)
        stored.withUnsafeMutableBytes { if let base = $0.baseAddress { header.store(to: base) } }
        #expect(stored == bytes(length: 100))
        #expect(try load(stored, limit: 100) == header)
        #expect(header.frameLength == 104)
    }

    @Test("A header that has not arrived whole is waited for, unless its length is wrong already")
    func partial() throws {
        for count in 0..<16 { #expect(try load(Array(bytes(length: 100).prefix(count)), limit: 100) == nil) }
        for count in 4...16 {
            #expect { try load(Array(bytes(length: 101).prefix(count)), limit: 100) } throws: {
                ($0 as? WireError)?.code == .limit
            }
            #expect { try load(Array(bytes(length: 11).prefix(count)), limit: 100) } throws: {
                ($0 as? WireError)?.code == .malformed
            }
        }
    }

    @Test("The shortest and the longest frame are taken, one byte less or more is not")
    func limits() throws {
        #expect(try load(bytes(length: 12), limit: 12)?.bodyLength == 0)
        let longest = UInt32(Limits.frameBytes)
        #expect(try load(bytes(length: longest), limit: Limits.frameBytes)?.bodyLength == Limits.frameBytes - 12)
        for length in [longest + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            #expect { try load(bytes(length: length), limit: Limits.frameBytes) } throws: {
                ($0 as? WireError)?.code == .limit
            }
        }
        for length in [0, 1, 11] as [UInt32] {
            #expect(throws: WireError.self) { try load(bytes(length: length), limit: Limits.frameBytes) }
        }
    }

    @Test("Before hello the limit is a small one, and every hello is within it")
    func beforeHello() throws {
        let longest = Sample.name(String(repeating: "x", count: Limits.nameBytes))
        let host = String(repeating: "h", count: Limits.nameBytes)
        let node = Hello.Node(
            id: NodeID(high: .max, low: .max), name: longest, incarnation: Incarnation(.max),
            address: NodeAddress(host: host, port: .max))
        let frame = Message.hello(Hello(role: .peer(node, .bulk))).frame()
        #expect(try load(Array(frame.readableBytesView), limit: Limits.frameBytesBeforeHello) != nil)
        let error = FlotillaError(.refused, String(repeating: "e", count: 5_000), leader: Sample.server(1))
        let refusal = Message.response(.error(error)).frame()
        #expect(try load(Array(refusal.readableBytesView), limit: Limits.frameBytesBeforeHello) != nil)
        #expect(throws: WireError.self) {
            try load(bytes(length: UInt32(Limits.frameBytesBeforeHello) + 1), limit: Limits.frameBytesBeforeHello)
        }
    }

    @Test("Frame types keep their numbers")
    func types() {
        #expect(
            FrameType.allCases.map(\.rawValue)
                == [1, 2, 3] + [16, 17, 18, 19, 20, 21, 24, 25, 26, 27, 28] + Array(32...48) + Array(64...68)
                + Array(80...98) + Array(100...104))
    }
}
