import FlotillaWire
import NIOCore
import Testing

struct HelloTests {
    private func decode(_ change: (inout [UInt8]) -> Void) throws -> Hello {
        var buffer = ByteBuffer()
        Hello(role: .client(7)).encode(into: &buffer)
        var bytes = Array(buffer.readableBytesView)
        change(&bytes)
        var reader = WireReader(ByteBuffer(bytes: bytes))
        return try Hello(from: &reader)
    }

    @Test("The first bytes of a body spell the protocol's name")
    func magic() {
        var buffer = ByteBuffer()
        Hello(role: .client(7)).encode(into: &buffer)
        #expect(buffer.getString(at: 0, length: 4) == "FLTL")
        #expect { try decode { $0[0] = 0x47 } } throws: { ($0 as? WireError)?.code == .malformed }
    }

    @Test("Another major version is refused as such, another minor one and unknown features are not")
    func versions() throws {
        for major in [0, 2, 0xff] as [UInt8] {
            #expect { try decode { $0[4] = major } } throws: { ($0 as? WireError)?.code == .version }
        }
        #expect(try decode { $0[6] = 9 }.version == FormatVersion(major: 1, minor: 9))
        #expect(try decode { $0[8] = 0xff }.features == 0xff)
        #expect(FormatVersion.wire.description == "1.0")
    }

    @Test("Unknown roles and lanes are refused")
    func roles() {
        for role in [0, 4, 0xff] as [UInt8] {
            #expect { try decode { $0[16] = role } } throws: { ($0 as? WireError)?.code == .malformed }
        }
        var buffer = ByteBuffer()
        Hello(role: .peer(Sample.node(1), .log)).encode(into: &buffer)
        buffer.setInteger(UInt8(2), at: buffer.writerIndex - 1)
        var reader = WireReader(buffer)
        #expect { try Hello(from: &reader) } throws: { ($0 as? WireError)?.code == .malformed }
    }
}
