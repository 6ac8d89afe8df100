import FlotillaWire
import NIOCore
import Testing

struct CommandPrefixTests {
    private static let session = CommandPrefix.Session(id: 1, serial: 2, lowestOpenSerial: 3)
    private static let origin = CommandPrefix.Origin(client: 4, correlation: 5)
    private static let all: [CommandPrefix] = ReplyMode.allCases.flatMap { mode in
        [
            CommandPrefix(replyMode: mode), CommandPrefix(replyMode: mode, session: session),
            CommandPrefix(replyMode: mode, origin: origin),
            CommandPrefix(replyMode: mode, session: session, origin: origin),
        ]
    }

    private func encoded(_ prefix: CommandPrefix) -> [UInt8] {
        var buffer = ByteBuffer()
        prefix.encode(into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func length(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBytes { CommandPrefix.length(in: $0) } }

    private func read(_ bytes: [UInt8]) -> CommandPrefix? {
        var reader = WireReader(ByteBuffer(bytes: bytes))
        return try? CommandPrefix(from: &reader)
    }

    @Test("Every prefix is read back, and its length is known without reading it")
    func roundTrip() {
        for prefix in Self.all {
            let bytes = encoded(prefix)
            #expect(bytes.count == prefix.byteCount)
            #expect(read(bytes) == prefix)
            #expect(length(bytes + [9, 9]) == bytes.count)
            for count in 0..<bytes.count {
                #expect(length(Array(bytes.prefix(count))) == nil && read(Array(bytes.prefix(count))) == nil)
            }
        }
    }

    @Test("The plain prefix is the reply mode and three zeros")
    func layout() {
        #expect(encoded(CommandPrefix()) == [1, 0, 0, 0])
        #expect(encoded(CommandPrefix(replyMode: .none)) == [0, 0, 0, 0])
        #expect(
            encoded(CommandPrefix(replyMode: .afterAppend, session: Self.session, origin: Self.origin))
                == [4, 3, 0, 0] + [1, 2, 3, 4, 5].flatMap { [$0, 0, 0, 0, 0, 0, 0, 0] })
    }

    @Test("The quick look and the reader agree on what is a prefix")
    func agreement() {
        for mode in UInt8.min...UInt8.max {
            for parts in UInt8.min...UInt8.max {
                for reserved: [UInt8] in [[0, 0], [1, 0], [0, 0x80]] {
                    let bytes = [mode, parts] + reserved + [UInt8](repeating: 7, count: 40)
                    let expected: Int? =
                        mode <= 4 && parts <= 3 && reserved == [0, 0]
                        ? 4 + (parts & 1 == 0 ? 0 : 24) + (parts & 2 == 0 ? 0 : 16) : nil
                    if length(bytes) != expected || read(bytes)?.byteCount != expected {
                        Issue.record("they differ on \(bytes.prefix(4))")
                    }
                }
            }
        }
    }
}
