/// Why a text is no valid name.
public struct NameError: Error, Equatable, CustomStringConvertible {
    /// What the name was meant for, such as "node name".
    public let kind: String
    /// The rule that the text breaks.
    public let reason: String
    /// One line for people.
    public var description: String { "invalid \(kind): \(reason)" }
}

/// The rule that every name in Flotilla obeys: 1 to 255 bytes of UTF-8, no control characters, none of `@ / , =`,
/// and neither `.` nor `..`.
enum NameRule {
    static func check(_ text: String, as kind: String) throws(NameError) {
        let bytes = text.utf8
        guard !bytes.isEmpty else { throw NameError(kind: kind, reason: "it is empty") }
        guard bytes.count <= Limits.nameBytes else {
            throw NameError(kind: kind, reason: "it has \(bytes.count) bytes, the limit is \(Limits.nameBytes)")
        }
        guard text != ".", text != ".." else { throw NameError(kind: kind, reason: "'\(text)' is not allowed") }
        for scalar in text.unicodeScalars {
            if scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) {
                throw NameError(kind: kind, reason: "it contains a control character")
            }
            if "@/,=".unicodeScalars.contains(scalar) {
                throw NameError(kind: kind, reason: "'\(scalar)' is not allowed in it")
            }
        }
    }
}

/// The name of a node, unique among the nodes that know each other.
public struct NodeName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The text.
    public let description: String

    /// Checks the rule for names.
    public init(_ text: String) throws(NameError) {
        try NameRule.check(text, as: "node name")
        description = text
    }

    /// Orders by the text.
    public static func < (left: NodeName, right: NodeName) -> Bool { left.description < right.description }
}

/// The name of a cluster, unique on every node that hosts a member of it.
public struct ClusterName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The text.
    public let description: String

    /// Checks the rule for names.
    public init(_ text: String) throws(NameError) {
        try NameRule.check(text, as: "cluster name")
        description = text
    }

    /// Orders by the text.
    public static func < (left: ClusterName, right: ClusterName) -> Bool { left.description < right.description }
}

/// Names one member of one cluster, written `name@node`.
public struct ServerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The server's own name; by custom that of its cluster.
    public let name: String
    /// The node that hosts it.
    public let node: NodeName

    /// Checks the rule for names.
    public init(name: String, node: NodeName) throws(NameError) {
        try NameRule.check(name, as: "server name")
        self.name = name
        self.node = node
    }

    /// The server that a cluster has on a node by custom.
    public init(cluster: ClusterName, node: NodeName) {
        name = cluster.description
        self.node = node
    }

    /// Reads `name@node`.
    public init(_ text: String) throws(NameError) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw NameError(kind: "server", reason: "'\(text)' is not written name@node")
        }
        try self.init(name: String(parts[0]), node: NodeName(String(parts[1])))
    }

    /// `name@node`.
    public var description: String { "\(name)@\(node)" }

    /// Orders by name, then node.
    public static func < (left: ServerID, right: ServerID) -> Bool {
        left.name != right.name ? left.name < right.name : left.node < right.node
    }
}

/// Where a node listens: a host name or address, and a port.
public struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    public let host: String
    /// TCP port; 0 asks the system for a free one where one listens.
    public let port: UInt16

    /// Takes the parts as they are.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[IPv6]:port`.
    public init(_ text: String) throws(NameError) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            text[text.index(after: colon)...].utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
        else {
            throw NameError(kind: "address", reason: "'\(text)' is not written host:port")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, host.utf8.count <= Limits.nameBytes else {
            throw NameError(kind: "address", reason: "'\(text)' has no usable host")
        }
        self.init(host: String(host), port: port)
    }

    /// `host:port`, IPv6 addresses in brackets.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
