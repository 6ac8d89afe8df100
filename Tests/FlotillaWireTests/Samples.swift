import FlotillaWire
import NIOCore
import Testing

/// One message of every kind, with the parts that are optional both there and absent. They are also the golden
/// vectors, so what is here must stay as it is; add others beside it.
struct Sample: Sendable, CustomTestStringConvertible {
    /// The name of its file.
    let name: String
    /// What it is, for the file's first line.
    let comment: String
    let correlation: UInt64
    let message: Message

    init(_ name: String, _ comment: String, correlation: UInt64 = 0, _ message: Message) {
        self.name = name
        self.comment = comment
        self.correlation = correlation
        self.message = message
    }

    var frame: ByteBuffer { message.frame(correlation: correlation) }
    var testDescription: String { name }

    static let all = session + handshake + nodes + consensus + work + requests + responses

    // MARK: Who takes part

    static func node(_ number: UInt64) -> Hello.Node {
        Hello.Node(
            id: NodeID(high: 0xa0a1_a2a3_a4a5_a6a7, low: 0xa8a9_aaab_acad_ae00 + number), name: name("n\(number)"),
            incarnation: Incarnation(3),
            address: NodeAddress(host: "127.0.0.1", port: UInt16(7_400 + number)))
    }

    static func uid(_ number: UInt64) -> ServerUID {
        ServerUID(high: 0xb0b1_b2b3_b4b5_b6b7, low: 0xb8b9_babb_bcbd_be00 + number)
    }

    static let cluster = ClusterID(high: 0xc0c1_c2c3_c4c5_c6c7, low: 0xc8c9_cacb_cccd_cecf)
    static let clusterName = clusterName("kv")

    /// A name that is known to be good; a test of its own covers those that are not.
    static func name(_ text: String) -> NodeName {
        guard let name = try? NodeName(text) else { preconditionFailure("'\(text)' is no name") }
        return name
    }

    static func clusterName(_ text: String) -> ClusterName {
        guard let name = try? ClusterName(text) else { preconditionFailure("'\(text)' is no name") }
        return name
    }

    static func server(_ number: UInt64) -> ServerID { ServerID(cluster: clusterName, node: node(number).name) }

    static func member(_ number: UInt64, _ role: MemberRole = .voter) -> Member {
        Member(
            id: server(number), uid: uid(number), nodeID: node(number).id, address: node(number).address, role: role)
    }

    static let configuration = ClusterConfiguration(members: [member(1), member(2), member(3)])
    static let mixedConfiguration = ClusterConfiguration(
        members: [member(1), member(2, .nonVoter), member(3, .promotable(target: 1_000))])

    static func entry(_ kind: EntryKind, index: LogIndex, _ body: ByteBuffer) -> ByteBuffer {
        var buffer = ByteBuffer()
        let header = EntryHeader(
            kind: kind, bodyLength: UInt32(body.readableBytes), index: index, term: 5,
            time: 1_700_000_000_000_000_000 + index.rawValue,
            bodyChecksum: body.withUnsafeReadableBytes { Checksum.crc32c($0) })
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: EntryHeader.byteCount) { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            header.store(to: base)
            return EntryHeader.byteCount
        }
        buffer.writeImmutableBuffer(body)
        return buffer
    }

    static func command(_ bytes: [UInt8], _ prefix: CommandPrefix = CommandPrefix()) -> ByteBuffer {
        var buffer = ByteBuffer()
        prefix.encode(into: &buffer)
        buffer.writeBytes(bytes)
        return buffer
    }

    /// A put of `greeting` in the encoding of the key-value machine.
    static let put: [UInt8] = [1, 8, 0, 0, 0] + Array("greeting".utf8) + [5, 0, 0, 0] + Array("hello".utf8)
    /// A removal of `farewell` in the same encoding.
    static let delete: [UInt8] = [3, 8, 0, 0, 0] + Array("farewell".utf8)
}
