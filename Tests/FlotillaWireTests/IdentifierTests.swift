import FlotillaWire
import NIOCore
import Testing

struct IdentifierTests {
    private let identity = NodeID(high: 0x0123_4567_89ab_cdef, low: 0x0000_0000_0000_00ff)

    @Test("An identity is written as 32 hexadecimal digits and read back")
    func text() {
        #expect(identity.description == "0123456789abcdef00000000000000ff")
        #expect(NodeID("0123456789abcdef00000000000000ff") == identity)
        #expect(NodeID("0123456789ABCDEF00000000000000FF") == identity)
        #expect(ServerUID.none.description == String(repeating: "0", count: 32))
        #expect(ClusterID(high: .max, low: .max).description == String(repeating: "f", count: 32))
    }

    @Test(
        "Anything else is no identity",
        arguments: [
            "", "0", String(repeating: "0", count: 31), String(repeating: "0", count: 33),
            "+123456789abcdef00000000000000ff", "0123456789abcdef-0000000000000ff", "0x23456789abcdef00000000000000ff",
            "g123456789abcdef00000000000000ff", "0123456789abcde\u{e4}0000000000000ff",
            " 123456789abcdef00000000000000ff",
        ])
    func badText(text: String) { #expect(NodeID(text) == nil) }

    @Test("Identities are ordered as 128-bit numbers")
    func order() {
        let ordered = [
            ServerUID(high: 0, low: 1), ServerUID(high: 0, low: .max), ServerUID(high: 1, low: 0),
            ServerUID(high: .max, low: 0),
        ]
        #expect(ordered.reversed().sorted() == ordered)
    }

    @Test("Drawn identities differ")
    func random() {
        var generator = SeededGenerator(seed: 1)
        let drawn = (0..<1_000).map { _ in ClusterID.random(using: &generator) }
        #expect(Set(drawn).count == 1_000)
        #expect(!drawn.contains(.none))
    }

    @Test("On the wire the upper half comes first, each half little-endian; zeros stand for none")
    func wire() throws {
        var buffer = ByteBuffer()
        buffer.writeIdentifier(identity)
        buffer.writeIdentifier(optional: nil as NodeID?)
        buffer.writeIdentifier(optional: identity)
        #expect(
            Array(buffer.readableBytesView.prefix(16)) == [
                0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0xff, 0, 0, 0, 0, 0, 0, 0,
            ])
        var reader = WireReader(buffer)
        #expect(try reader.identifier(as: NodeID.self) == identity)
        #expect(try reader.optionalIdentifier(as: NodeID.self) == nil)
        #expect(try reader.optionalIdentifier(as: NodeID.self) == identity)
        #expect(reader.remaining == 0)
    }
}
