import FlotillaWire
import NIOCore
import Testing

struct NameTests {
    private static let good = [
        "n", "n1", "kv", "…", "a.b", "...", "with space", "zähler", "name-1_2", "'quoted'", "a:b", "\u{1F6A2}",
        String(repeating: "x", count: 255), String(repeating: "ä", count: 127) + "x",
    ]
    private static let bad: [(text: String, reason: String)] = [
        ("", "empty"), (".", "not allowed"), ("..", "not allowed"), ("a@b", "'@'"), ("a/b", "'/'"), ("a,b", "','"),
        ("a=b", "'='"), ("a\nb", "control"), ("\u{0}", "control"), ("a\u{7f}", "control"), ("a\u{85}", "control"),
        ("\u{9f}", "control"), ("\u{1f}", "control"), (String(repeating: "x", count: 256), "256 bytes"),
        (String(repeating: "ä", count: 128), "256 bytes"),
    ]

    @Test("Good names are taken as they are", arguments: good)
    func goodNames(text: String) throws {
        #expect(try NodeName(text).description == text)
        #expect(try ClusterName(text).description == text)
        #expect(try ServerID(name: text, node: NodeName("n1")).description == text + "@n1")
        #expect(try ServerID(cluster: ClusterName(text), node: NodeName("n1")).name == text)
    }

    @Test("Bad names are refused with the rule that they break", arguments: bad)
    func badNames(text: String, reason: String) throws {
        func refuses(_ kind: String, _ make: () throws -> Void) {
            #expect {
                try make()
            } throws: { error in
                guard let error = error as? NameError else { return false }
                return error.kind == kind && error.reason.contains(reason)
                    && error.description == "invalid \(kind): \(error.reason)"
            }
        }
        let node = try NodeName("n1")
        refuses("node name") { _ = try NodeName(text) }
        refuses("cluster name") { _ = try ClusterName(text) }
        refuses("server name") { _ = try ServerID(name: text, node: node) }
    }

    @Test("Bad names are refused on the wire too", arguments: bad)
    func badNamesOnTheWire(text: String, reason: String) {
        var buffer = ByteBuffer()
        buffer.writeText(text, limit: 1_000)
        buffer.writeText("n1")
        #expect(throws: WireError.self) {
            var reader = WireReader(buffer)
            _ = try reader.nodeName()
        }
        #expect(throws: WireError.self) {
            var reader = WireReader(buffer)
            _ = try reader.clusterName()
        }
        #expect(throws: WireError.self) {
            var reader = WireReader(buffer)
            _ = try reader.serverID()
        }
    }

    @Test(
        "A text that is not UTF-8 is refused",
        arguments: [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80]] as [[UInt8]])
    func notUTF8(bytes: [UInt8]) {
        var buffer = ByteBuffer()
        buffer.writeLittle(UInt16(bytes.count))
        buffer.writeBytes(bytes)
        var reader = WireReader(buffer)
        #expect { try reader.string() } throws: { ($0 as? WireError)?.code == .malformed }
    }

    @Test("A server is written name@node")
    func servers() throws {
        let server = try ServerID("kv@n2")
        #expect(server == ServerID(cluster: try ClusterName("kv"), node: try NodeName("n2")))
        #expect(server.description == "kv@n2")
        for text in ["kv", "kv@", "@n2", "kv@n2@n3", "", "@", "k/v@n2", "kv@n=2"] {
            #expect(throws: NameError.self) { try ServerID(text) }
        }
        let ordered = try ["a@n1", "a@n2", "b@n1"].map { try ServerID($0) }
        #expect(ordered.reversed().sorted() == ordered)
    }

    @Test(
        "An address is written host:port, IPv6 addresses in brackets",
        arguments: [
            ("127.0.0.1:7401", "127.0.0.1", 7_401), ("node.example:1", "node.example", 1), ("[::1]:0", "::1", 0),
            ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65_535),
        ] as [(String, String, UInt16)])
    func addresses(text: String, host: String, port: UInt16) throws {
        let address = try NodeAddress(text)
        #expect(address == NodeAddress(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(
        "Anything else is no address",
        arguments: [
            "", ":", "host", "host:", ":80", "[]:80", "host:65536", "host:-1", "host:+80", "host:80 ", "host:x",
        ])
    func badAddresses(text: String) {
        #expect(throws: NameError.self) { try NodeAddress(text) }
    }
}
