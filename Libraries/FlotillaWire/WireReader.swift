import NIOCore

/// Why bytes from outside were refused.
public struct WireError: Error, Equatable, CustomStringConvertible {
    /// The class of a refusal.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case truncated
            case malformed
            case limit
            case version
            case checksum
        }
        private let value: Value
        private init(_ value: Value) { self.value = value }
        /// There are fewer bytes than the message says or needs.
        public static let truncated = Code(.truncated)
        /// A field has a value that it can't have.
        public static let malformed = Code(.malformed)
        /// A length or a count is above its limit.
        public static let limit = Code(.limit)
        /// The other side speaks a major version that this side does not.
        public static let version = Code(.version)
        /// A checksum does not match.
        public static let checksum = Code(.checksum)
        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The class of the refusal.
    public let code: Code
    /// What was wrong, for people.
    public let message: String

    /// A refusal of these parts.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

/// Reads little-endian fields from a buffer, checking every length before it is used.
///
/// Bytes that are left over at the end of a message are no error: a newer minor version may have added fields there.
public struct WireReader: Sendable {
    @usableFromInline var unread: ByteBuffer

    /// A reader of the buffer's readable bytes.
    @inlinable
    public init(_ buffer: ByteBuffer) { unread = buffer }

    /// What has not been read yet.
    @inlinable
    public var rest: ByteBuffer { unread }

    /// How many bytes have not been read yet.
    @inlinable
    public var remaining: Int { unread.readableBytes }

    /// Reads a fixed-width integer.
    @inlinable
    public mutating func integer<Number: FixedWidthInteger>(
        as type: Number.Type = Number.self
    ) throws(WireError) -> Number {
        guard let value = unread.readInteger(endianness: .little, as: type) else {
            throw WireError(.truncated, "\(MemoryLayout<Number>.size) bytes expected, \(unread.readableBytes) left")
        }
        return value
    }

    /// Reads one byte that must be 0 or 1.
    @inlinable
    public mutating func bool() throws(WireError) -> Bool {
        switch try integer(as: UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw WireError(.malformed, "a truth value is neither 0 nor 1")
        }
    }

    /// Takes the next `count` bytes as a slice that shares storage with the source.
    @inlinable
    public mutating func slice(_ count: Int) throws(WireError) -> ByteBuffer {
        guard count >= 0, let slice = unread.readSlice(length: count) else {
            throw WireError(.truncated, "\(count) bytes expected, \(unread.readableBytes) left")
        }
        return slice
    }

    /// Takes a 32-bit length and that many bytes.
    ///
    /// - Parameter limit: the most bytes that are allowed; named in the error.
    @inlinable
    public mutating func block(limit: Int) throws(WireError) -> ByteBuffer {
        let length = Int(try integer(as: UInt32.self))
        guard length <= limit else { throw WireError(.limit, "\(length) bytes, the limit is \(limit)") }
        return try slice(length)
    }

    /// Takes a 16-bit length and that many bytes of UTF-8.
    public mutating func string(limit: Int = Limits.nameBytes) throws(WireError) -> String {
        let length = Int(try integer(as: UInt16.self))
        guard length <= limit else { throw WireError(.limit, "a text of \(length) bytes, the limit is \(limit)") }
        let bytes = try slice(length)
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw WireError(.malformed, "a text is not UTF-8")
        }
        return text
    }

    /// Takes 16 bytes of an identity.
    public mutating func identifier<Identifier: UniqueIdentifier>(
        as type: Identifier.Type = Identifier.self
    ) throws(WireError) -> Identifier {
        let high: UInt64 = try integer()
        let low: UInt64 = try integer()
        return Identifier(high: high, low: low)
    }

    /// Takes an identity that may be absent, which sixteen zero bytes say.
    public mutating func optionalIdentifier<Identifier: UniqueIdentifier>(
        as type: Identifier.Type = Identifier.self
    ) throws(WireError) -> Identifier? {
        let identifier: Identifier = try self.identifier()
        return identifier == .none ? nil : identifier
    }

    /// Takes an index, `Limits.position` at most.
    public mutating func index() throws(WireError) -> LogIndex { LogIndex(try position(as: "index")) }

    /// Takes a term, `Limits.position` at most.
    public mutating func term() throws(WireError) -> Term { Term(try position(as: "term")) }

    private mutating func position(as kind: String) throws(WireError) -> UInt64 {
        let number: UInt64 = try integer()
        guard number <= Limits.position else {
            throw WireError(.limit, "\(kind) \(number), the limit is \(Limits.position)")
        }
        return number
    }

    /// Takes a name, checking its rule.
    public mutating func nodeName() throws(WireError) -> NodeName {
        let text = try string()
        do { return try NodeName(text) } catch { throw WireError(.malformed, error.description) }
    }

    /// Takes a name, checking its rule; `nil` where there is an empty one.
    public mutating func optionalNodeName() throws(WireError) -> NodeName? {
        let text = try string()
        if text.isEmpty { return nil }
        do { return try NodeName(text) } catch { throw WireError(.malformed, error.description) }
    }

    /// Takes a name, checking its rule.
    public mutating func clusterName() throws(WireError) -> ClusterName {
        let text = try string()
        do { return try ClusterName(text) } catch { throw WireError(.malformed, error.description) }
    }

    /// Takes a server's name and node, checking the rules of both.
    public mutating func serverID() throws(WireError) -> ServerID {
        let name = try string()
        let node = try nodeName()
        do { return try ServerID(name: name, node: node) } catch { throw WireError(.malformed, error.description) }
    }

    /// Takes an address.
    public mutating func address() throws(WireError) -> NodeAddress {
        NodeAddress(host: try string(), port: try integer())
    }

    /// Takes a 32-bit count and as many elements.
    ///
    /// Nothing is reserved ahead, so that a count that lies costs nothing before the bytes run out.
    public mutating func list<Element>(
        limit: Int, _ element: (inout WireReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count = Int(try integer(as: UInt32.self))
        guard count <= limit else { throw WireError(.limit, "a list of \(count) elements, the limit is \(limit)") }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }
}

extension ByteBuffer {
    /// Appends an integer, little-endian.
    @inlinable
    public mutating func writeLittle<Number: FixedWidthInteger>(_ value: Number) {
        writeInteger(value, endianness: .little)
    }

    /// Appends one byte, 0 or 1.
    public mutating func writeBool(_ value: Bool) { writeInteger(value ? 1 : 0, as: UInt8.self) }

    /// Appends a 32-bit length and the bytes.
    public mutating func writeBlock(_ block: ByteBuffer) {
        writeLittle(UInt32(block.readableBytes))
        writeImmutableBuffer(block)
    }

    /// Appends a 16-bit length and the text as UTF-8; text of more than `limit` bytes is cut, at a character. The limit
    /// must be below 64 KiB.
    public mutating func writeText(_ text: String, limit: Int = Limits.nameBytes) {
        var kept = text[...]
        while kept.utf8.count > limit { kept = kept.dropLast() }
        writeLittle(UInt16(kept.utf8.count))
        writeSubstring(kept)
    }

    /// Appends the 16 bytes of an identity.
    public mutating func writeIdentifier(_ identifier: some UniqueIdentifier) {
        writeLittle(identifier.high)
        writeLittle(identifier.low)
    }

    /// Appends an identity that may be absent.
    public mutating func writeIdentifier<Identifier: UniqueIdentifier>(optional identifier: Identifier?) {
        writeIdentifier(identifier ?? .none)
    }

    /// Appends a server's name and node.
    public mutating func writeServerID(_ server: ServerID) {
        writeText(server.name)
        writeText(server.node.description)
    }

    /// Appends an address.
    public mutating func writeAddress(_ address: NodeAddress) {
        writeText(address.host)
        writeLittle(address.port)
    }

    /// Appends a 32-bit count and every element.
    public mutating func writeList<Element>(_ elements: [Element], _ write: (inout ByteBuffer, Element) -> Void) {
        writeLittle(UInt32(elements.count))
        for element in elements { write(&self, element) }
    }
}

/// A value with a binary form of its own: what state machines take, keep and answer.
///
/// Encoding must be deterministic: equal values give equal bytes on every machine and in every process.
public protocol WireCodable: Sendable {
    /// Appends the value's bytes.
    func encode(into buffer: inout ByteBuffer)
    /// Reads a value; must check every length before it uses it.
    init(from reader: inout WireReader) throws(WireError)
}
