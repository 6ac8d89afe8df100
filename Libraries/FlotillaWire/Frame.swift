import NIOCore

/// What a frame carries. Numbers are never used for anything else later; a type that a receiver does not know is
/// answered with `error` when it came from a client, and is counted and skipped when it came from a node.
public enum FrameType: UInt8, Sendable, CaseIterable {
    // Every connection.
    case hello = 1
    case welcome = 2
    case error = 3

    // Between nodes: the node as a whole.
    case ping = 16
    case pong = 17
    case leaderships = 18
    case serverStopped = 19
    case goodbye = 20
    case serversLost = 21
    case startServer = 24
    case startServerReply = 25
    case deleteServer = 26
    case clustersDeleted = 27
    case machines = 28

    // Between nodes: one server to another.
    case appendEntries = 32
    case appendReply = 33
    case commitNotice = 34
    case voteRequest = 35
    case voteReply = 36
    case readRound = 37
    case readRoundReply = 38
    case readIndexRequest = 39
    case readIndexReply = 40
    case timeoutNow = 41
    case removed = 42
    case unknownServer = 43
    case installSnapshot = 44
    case snapshotRequest = 45
    case snapshotPart = 46
    case entriesRequest = 47
    case entriesReply = 48

    // Between client and node: the way of a command and of a query.
    case commands = 64
    case results = 65
    case rejections = 66
    case queries = 67
    case answers = 68

    // Between client and node: everything else, one request and one answer each.
    case locate = 80
    case located = 81
    case startCluster = 82
    case clusterStarted = 83
    case listClusters = 84
    case clusters = 85
    case members = 86
    case memberList = 87
    case overview = 88
    case nodeOverview = 89
    case transferLeadership = 90
    case triggerElection = 91
    case done = 92
    case takeSnapshot = 93
    case changeMembers = 94
    case memberChanged = 95
    case openSession = 96
    case sessionOpened = 97
    case deleteCluster = 98
    case keepSessions = 100
    case endSessions = 101
    case sessionEvents = 102
    case auxCommand = 103
    case auxReply = 104
}

extension FrameType {
    /// Whether frames of this type carry what the consensus of one server says to that of another.
    public var isConsensus: Bool {
        (Self.appendEntries.rawValue...Self.removed.rawValue).contains(rawValue) || self == .installSnapshot
    }
}

/// The fixed head of a frame: 16 bytes, little-endian.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | length of what follows this field: 12 and the body |
/// | 4 | 1 | type |
/// | 5 | 1 | flags, 0 so far |
/// | 6 | 2 | shard of the receiver, 0 so far |
/// | 8 | 8 | correlation: chosen by whoever asks, repeated by whoever answers |
public struct FrameHeader: Equatable, Sendable {
    /// The length of the encoded header.
    public static let byteCount = 16
    /// How much of the header the length field counts.
    public static let countedByteCount = 12

    /// The raw type; `FrameType(rawValue:)` says whether this version knows it.
    public var type: UInt8
    /// The length of the body.
    public var bodyLength: Int
    /// The asker's number.
    public var correlation: UInt64

    /// A header of these parts.
    @inlinable
    public init(type: UInt8, bodyLength: Int, correlation: UInt64) {
        self.type = type
        self.bodyLength = bodyLength
        self.correlation = correlation
    }

    /// The length of header and body.
    @inlinable
    public var frameLength: Int { Self.byteCount + bodyLength }

    /// Reads the header at the start of `bytes`.
    ///
    /// - Parameter limit: the longest frame that is allowed, counted as the length field counts.
    /// - Returns: `nil` when the header has not arrived whole.
    @inlinable
    public static func load(from bytes: UnsafeRawBufferPointer, limit: Int) throws(WireError) -> FrameHeader? {
        guard bytes.count >= 4, let base = bytes.baseAddress else { return nil }
        let length = Int(UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)))
        guard length >= countedByteCount else { throw WireError(.malformed, "a frame of \(length) bytes") }
        guard length <= limit else { throw WireError(.limit, "a frame of \(length) bytes, the limit is \(limit)") }
        guard bytes.count >= byteCount else { return nil }
        return FrameHeader(
            type: base.load(fromByteOffset: 4, as: UInt8.self),
            bodyLength: length - countedByteCount,
            correlation: UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    /// Writes the 16 bytes to an address that has room for them.
    @inlinable
    public func store(to base: UnsafeMutableRawPointer) {
        base.storeBytes(
            of: UInt32(truncatingIfNeeded: Self.countedByteCount + bodyLength).littleEndian, as: UInt32.self)
        base.storeBytes(of: UInt32(type).littleEndian, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: correlation.littleEndian, toByteOffset: 8, as: UInt64.self)
    }
}

extension ByteBuffer {
    /// Appends a frame whose body `write` appends.
    public mutating func writeFrame(
        _ type: FrameType, correlation: UInt64 = 0, _ write: (inout ByteBuffer) -> Void = { _ in }
    ) {
        let start = beginFrame(type, correlation: correlation)
        write(&self)
        endFrame(from: start)
    }

    /// Appends a frame's header whose length `endFrame` fills in.
    ///
    /// - Returns: where the frame starts, for `endFrame`.
    public mutating func beginFrame(_ type: FrameType, correlation: UInt64 = 0) -> Int {
        let start = writerIndex
        writeWithUnsafeMutableBytes(minimumWritableBytes: FrameHeader.byteCount) { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            FrameHeader(type: type.rawValue, bodyLength: 0, correlation: correlation).store(to: base)
            return FrameHeader.byteCount
        }
        return start
    }

    /// Fills in the length of the frame that starts at `start` and ends with the buffer's readable bytes.
    ///
    /// - Parameter following: bytes of the body that the sender puts behind this buffer.
    public mutating func endFrame(from start: Int, following: Int = 0) {
        let length = writerIndex - start - 4 + following
        setInteger(UInt32(length), at: start, endianness: .little)
    }
}
