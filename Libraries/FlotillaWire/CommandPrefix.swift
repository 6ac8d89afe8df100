import NIOCore

/// Who answers a command, and when.
public enum ReplyMode: UInt8, Sendable, CaseIterable {
    /// Nobody.
    case none = 0
    /// The leader, once the command is committed and applied.
    case leader = 1
    /// The voter on the caller's own node, after its own apply.
    case local = 2
    /// A named member, after its own apply.
    case member = 3
    /// The leader, as soon as it has appended the command.
    case afterAppend = 4
}

/// What stands before a command in an entry's body.
///
/// Byte 0 is the reply mode, byte 1 says which optional parts follow (bit 0: session, serial and lowest open serial,
/// three 64-bit numbers; bit 1: the origin, a 64-bit client number and a 64-bit correlation), bytes 2 and 3 are zero.
public struct CommandPrefix: Equatable, Sendable {
    /// The length of a prefix without optional parts.
    public static let shortByteCount = 4
    /// What a session adds to the first four bytes as a little-endian number.
    public static let sessionFlag: UInt32 = 1 << 8

    /// A command's place in its client session.
    public struct Session: Equatable, Sendable {
        /// The session's number in its cluster.
        public var id: UInt64
        /// The command's number in its session.
        public var serial: UInt64
        /// The lowest serial whose reply the client has not seen yet.
        public var lowestOpenSerial: UInt64
        /// A place of these parts.
        public init(id: UInt64, serial: UInt64, lowestOpenSerial: UInt64) {
            self.id = id
            self.serial = serial
            self.lowestOpenSerial = lowestOpenSerial
        }

        /// Writes the numbers to their place in a body whose prefix has room for a session.
        public func store(to body: UnsafeMutableRawBufferPointer) {
            precondition(
                body.count >= shortByteCount + 24 && body[1] & 1 != 0, "a command without room for its session")
            body.storeBytes(of: id.littleEndian, toByteOffset: shortByteCount, as: UInt64.self)
            body.storeBytes(of: serial.littleEndian, toByteOffset: shortByteCount + 8, as: UInt64.self)
            body.storeBytes(of: lowestOpenSerial.littleEndian, toByteOffset: shortByteCount + 16, as: UInt64.self)
        }

        /// Whether the numbers can be: serials begin at 1, the command is open itself, and no more are open than may be.
        public var isInOrder: Bool {
            id > 0 && lowestOpenSerial > 0 && serial >= lowestOpenSerial
                && serial - lowestOpenSerial < Limits.openCommandsPerSession
        }
    }

    /// Where a command came from, so that a later leader can answer it.
    public struct Origin: Equatable, Sendable {
        /// The client's number.
        public var client: UInt64
        /// The client's number for the command.
        public var correlation: UInt64
        /// An origin of these parts.
        public init(client: UInt64, correlation: UInt64) {
            self.client = client
            self.correlation = correlation
        }
    }

    /// Who answers.
    public var replyMode: ReplyMode
    /// The place in a session, if the command has one.
    public var session: Session?
    /// Where the command came from, if that is recorded.
    public var origin: Origin?

    /// A prefix of these parts.
    public init(replyMode: ReplyMode = .leader, session: Session? = nil, origin: Origin? = nil) {
        self.replyMode = replyMode
        self.session = session
        self.origin = origin
    }

    /// The length of the encoded prefix.
    public var byteCount: Int { Self.shortByteCount + (session == nil ? 0 : 24) + (origin == nil ? 0 : 16) }

    /// Appends the encoded prefix.
    public func encode(into buffer: inout ByteBuffer) {
        let parts: UInt8 = (session == nil ? 0 : 1) | (origin == nil ? 0 : 2)
        buffer.writeLittle(UInt32(replyMode.rawValue) | UInt32(parts) << 8)
        if let session {
            buffer.writeLittle(session.id)
            buffer.writeLittle(session.serial)
            buffer.writeLittle(session.lowestOpenSerial)
        }
        if let origin {
            buffer.writeLittle(origin.client)
            buffer.writeLittle(origin.correlation)
        }
    }

    /// How long the prefix at the start of a body is; `nil` when the body holds none that this version knows.
    @inlinable
    public static func length(in body: UnsafeRawBufferPointer) -> Int? {
        guard body.count >= shortByteCount, body[0] <= ReplyMode.afterAppend.rawValue, body[1] <= 3, body[2] == 0,
            body[3] == 0
        else { return nil }
        let length = shortByteCount + (body[1] & 1 == 0 ? 0 : 24) + (body[1] & 2 == 0 ? 0 : 16)
        return body.count >= length ? length : nil
    }

    /// The place in a session that the prefix at the start of a body names, which must have been found to be one;
    /// `nil` when it names none.
    @inlinable
    public static func session(in body: ByteBuffer) -> Session? { body.withUnsafeReadableBytes { session(in: $0) } }

    /// The same of bytes.
    @inlinable
    public static func session(in body: UnsafeRawBufferPointer) -> Session? {
        guard body.count >= shortByteCount + 24, body[1] & 1 != 0, let base = body.baseAddress else { return nil }
        func number(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: base.loadUnaligned(fromByteOffset: shortByteCount + offset, as: UInt64.self))
        }
        return Session(id: number(0), serial: number(8), lowestOpenSerial: number(16))
    }

    /// Reads a prefix; throws what `WireReader` throws for a short or an unknown one.
    public init(from reader: inout WireReader) throws(WireError) {
        let mode: UInt8 = try reader.integer()
        let parts: UInt8 = try reader.integer()
        let reserved: UInt16 = try reader.integer()
        guard let replyMode = ReplyMode(rawValue: mode), parts <= 3, reserved == 0 else {
            throw WireError(.malformed, "unknown command prefix")
        }
        self.init(replyMode: replyMode)
        if parts & 1 != 0 {
            session = try Session(
                id: reader.integer(), serial: reader.integer(), lowestOpenSerial: reader.integer())
        }
        if parts & 2 != 0 { origin = try Origin(client: reader.integer(), correlation: reader.integer()) }
    }
}
