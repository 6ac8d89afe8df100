import NIOCore

/// A random 128-bit identity, written as 32 hexadecimal digits.
///
/// Nodes, clusters and servers each have a name that people choose and an identity that is drawn once and never
/// used again; whatever guards data compares identities, so that a name that is used a second time can never be
/// mistaken for its predecessor.
public protocol UniqueIdentifier: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The upper 64 bits.
    var high: UInt64 { get }
    /// The lower 64 bits.
    var low: UInt64 { get }
    /// The identity with these 128 bits.
    init(high: UInt64, low: UInt64)
}

extension UniqueIdentifier {
    /// A fresh identity from a source of randomness.
    @inlinable
    public static func random(using generator: inout some RandomNumberGenerator) -> Self {
        Self(high: generator.next(), low: generator.next())
    }

    /// The identity that all bits zero spell; it stands for "none" on the wire and is never drawn.
    @inlinable
    public static var none: Self { Self(high: 0, low: 0) }

    /// Reads 32 hexadecimal digits; `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 32,
            let high = UInt64(String(decoding: digits[..<16], as: UTF8.self), radix: 16),
            let low = UInt64(String(decoding: digits[16...], as: UTF8.self), radix: 16),
            digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
        else { return nil }
        self.init(high: high, low: low)
    }

    /// 32 lower-case hexadecimal digits.
    public var description: String { Self.hexadecimal(high) + Self.hexadecimal(low) }

    private static func hexadecimal(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Orders by the 128-bit number.
    @inlinable
    public static func < (left: Self, right: Self) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

/// The identity of a data directory, and so of the node that runs on it: drawn when the directory is made.
public struct NodeID: UniqueIdentifier {
    public let high: UInt64
    public let low: UInt64
    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The identity of one cluster: drawn by the node that starts it. A cluster that is deleted and made again under the
/// same name has another one.
public struct ClusterID: UniqueIdentifier {
    public let high: UInt64
    public let low: UInt64
    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The identity of one server, that is of one member's storage in one cluster.
public struct ServerUID: UniqueIdentifier {
    public let high: UInt64
    public let low: UInt64
    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}
