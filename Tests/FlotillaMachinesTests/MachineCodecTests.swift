import FlotillaMachine
import FlotillaMachines
import FlotillaWire
import NIOCore
import Testing

struct MachineCodecTests {
    private static let key = KeyValue.Key([0, 1, 0xff])
    private static let item = KeyValue.Item(key: key, value: ByteBuffer(string: "value"), index: 7)

    private static let commands: [KeyValue.Command] = [
        .put(key, ByteBuffer(string: "value"), ifIndex: nil), .put(key, ByteBuffer(), ifIndex: 0),
        .put(KeyValue.Key(""), ByteBuffer(string: "v"), ifIndex: 9), .delete(key),
    ]
    private static let replies: [KeyValue.Reply] = [
        .stored, .deleted, .notFound, .conflict(current: nil), .conflict(current: 5), .refused("because"),
    ]
    private static let queries: [KeyValue.Query] = [
        .get(key), .list(prefix: [], after: nil, limit: 0), .list(prefix: [1, 2], after: key, limit: 10), .count,
    ]
    private static let answers: [KeyValue.Answer] = [
        .item(item), .notFound, .page([], more: false), .page([item, item], more: true), .count(12),
    ]

    /// Whole it is read back, cut short anywhere it is refused, and what a newer version adds behind it is left alone.
    private func check<Value: WireCodable & Equatable>(_ value: Value, as type: Value.Type = Value.self) throws {
        var bytes = encoded(value)
        for length in 0..<bytes.readableBytes {
            var reader = WireReader(bytes.getSlice(at: 0, length: length) ?? ByteBuffer())
            #expect(throws: WireError.self) { try Value(from: &reader) }
        }
        bytes.writeString("added later")
        var reader = WireReader(bytes)
        #expect(try Value(from: &reader) == value)
        #expect(reader.rest == ByteBuffer(string: "added later"))
    }

    @Test("Every command, reply, query and answer is read back, and refused when it is cut short")
    func roundTrips() throws {
        for command in Self.commands { try check(command) }
        for reply in Self.replies { try check(reply) }
        for query in Self.queries { try check(query) }
        for answer in Self.answers { try check(answer) }
    }

    @Test("Unknown tags are refused", arguments: [0, 9, 0xff] as [UInt8])
    func unknownTags(tag: UInt8) {
        let bytes = ByteBuffer(bytes: [tag] + [UInt8](repeating: 0, count: 64))
        func refuses<Value: WireCodable>(_ type: Value.Type) {
            var reader = WireReader(bytes)
            #expect(throws: WireError.self) { try Value(from: &reader) }
        }
        refuses(KeyValue.Command.self)
        refuses(KeyValue.Reply.self)
        refuses(KeyValue.Query.self)
        refuses(KeyValue.Answer.self)
    }

    @Test("Lengths and counts that lie are refused")
    func lies() {
        func refuses<Value: WireCodable>(_ type: Value.Type, _ bytes: [UInt8], _ code: WireError.Code) {
            var reader = WireReader(ByteBuffer(bytes: bytes + [1, 2, 3]))
            #expect { try Value(from: &reader) } throws: { ($0 as? WireError)?.code == code }
        }
        let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff]
        let tooMuch: [UInt8] = [0, 0, 1, 0]
        refuses(KeyValue.Command.self, [1] + huge, .limit)
        refuses(KeyValue.Command.self, [1] + tooMuch, .truncated)
        refuses(KeyValue.Command.self, [1, 0, 0, 0, 0] + huge, .limit)
        refuses(KeyValue.Command.self, [3] + huge, .limit)
        refuses(KeyValue.Query.self, [2] + huge, .limit)
        refuses(KeyValue.Answer.self, [3, 1] + huge, .limit)
        refuses(KeyValue.Answer.self, [3, 2], .malformed)
        refuses(KeyValue.Answer.self, [4] + huge + huge, .malformed)
    }

    @Test("Random bytes are read or refused, never more")
    func randomBytes() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator) & (Bool.random(using: &generator) ? 0xff : 0x03)
            }
            if !bytes.isEmpty { bytes[0] %= 6 }
            func tries<Value: WireCodable>(_ type: Value.Type) {
                var reader = WireReader(ByteBuffer(bytes: bytes))
                _ = try? Value(from: &reader)
            }
            tries(KeyValue.Command.self)
            tries(KeyValue.Reply.self)
            tries(KeyValue.Query.self)
            tries(KeyValue.Answer.self)
            tries(Counter.Command.self)
        }
    }

    @Test("A counter's command is its amount and whatever follows")
    func counterCommand() throws {
        let command = Counter.Command(amount: -2, annotation: ByteBuffer(string: "filling"))
        let bytes = encoded(command)
        #expect(bytes.readableBytes == 15)
        var reader = WireReader(bytes)
        #expect(try Counter.Command(from: &reader) == command)
        for length in 0..<8 {
            var short = WireReader(bytes.getSlice(at: 0, length: length) ?? ByteBuffer())
            #expect(throws: WireError.self) { try Counter.Command(from: &short) }
        }
    }
}
