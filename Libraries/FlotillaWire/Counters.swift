/// A position in a cluster's log; the first entry has index 1, 0 stands before it.
public struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    /// The number.
    public var rawValue: UInt64
    /// The index with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// The index with this number.
    @inlinable public init(integerLiteral value: UInt64) { rawValue = value }
    /// Before the first entry.
    @inlinable public static var zero: LogIndex { LogIndex(0) }
    /// The index after this one.
    @inlinable public var next: LogIndex { LogIndex(rawValue + 1) }
    /// The index before this one; must not be called on zero.
    @inlinable public var previous: LogIndex { LogIndex(rawValue - 1) }
    /// Orders by position.
    @inlinable public static func < (left: LogIndex, right: LogIndex) -> Bool { left.rawValue < right.rawValue }
    /// The index `count` places further.
    @inlinable public static func + (left: LogIndex, count: Int) -> LogIndex {
        LogIndex(left.rawValue + UInt64(count))
    }
    /// How many places `left` is after `right`; negative when it is before.
    @inlinable public static func - (left: LogIndex, right: LogIndex) -> Int {
        Int(truncatingIfNeeded: left.rawValue &- right.rawValue)
    }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// A term of Raft: numbered consecutively, at most one leader in each (Ongaro and Ousterhout 2014, section 5.1).
public struct Term: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    /// The number.
    public var rawValue: UInt64
    /// The term with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// The term with this number.
    @inlinable public init(integerLiteral value: UInt64) { rawValue = value }
    /// Before the first election.
    @inlinable public static var zero: Term { Term(0) }
    /// The term after this one.
    @inlinable public var next: Term { Term(rawValue + 1) }
    /// Orders by number.
    @inlinable public static func < (left: Term, right: Term) -> Bool { left.rawValue < right.rawValue }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// How often a node has been started on its data directory; raised and made durable before the node says anything.
public struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number.
    public var rawValue: UInt64
    /// The incarnation with this number.
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// Orders by number.
    @inlinable public static func < (left: Incarnation, right: Incarnation) -> Bool { left.rawValue < right.rawValue }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// How often a server has truncated its log since it was started. A notice that names an older epoch than the
/// server's own may speak of entries that are gone.
public struct LogEpoch: Hashable, Comparable, Sendable {
    /// The number.
    public var rawValue: UInt32
    /// The epoch with this number.
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    /// The epoch of a log that was not truncated yet.
    @inlinable public static var zero: LogEpoch { LogEpoch(0) }
    /// The epoch after one more truncation.
    @inlinable public var next: LogEpoch { LogEpoch(rawValue + 1) }
    /// Orders by number.
    @inlinable public static func < (left: LogEpoch, right: LogEpoch) -> Bool { left.rawValue < right.rawValue }
}

/// The version of a state machine's code, as its author numbers it.
public struct MachineVersion: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    /// The number.
    public var rawValue: UInt32
    /// The version with this number.
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    /// The version with this number.
    @inlinable public init(integerLiteral value: UInt32) { rawValue = value }
    /// Orders by number.
    @inlinable public static func < (left: MachineVersion, right: MachineVersion) -> Bool {
        left.rawValue < right.rawValue
    }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// What a server must remember through a crash before it acts on it: its term, and whom it voted for in it.
public struct HardState: Hashable, Sendable {
    /// The latest term that the server has seen.
    public var term: Term
    /// Whom it voted for in that term.
    public var vote: ServerUID?
    /// A state of these parts.
    public init(term: Term, vote: ServerUID?) {
        self.term = term
        self.vote = vote
    }
    /// What a server starts with.
    public static let initial = HardState(term: .zero, vote: nil)
}
