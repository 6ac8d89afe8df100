import FlotillaWire
import NIOCore

/// The client sessions of a cluster: what was applied of each, so that a command that comes once more, after a timeout
/// or from the log of another leader, takes effect only once (Ongaro 2014, section 6.3).
///
/// It is a part of the replicated state: it changes only by entries of the log, is the same on every member, and goes
/// into snapshots. A session is named by the index of the entry that registered it.
public struct SessionTable: Sendable {
    /// What is to become of a command of a session.
    public enum Admission: Equatable, Sendable {
        /// It was not applied before: it is applied now.
        case new
        /// It was applied before, at this place in the log, and replied this.
        case repeated(ByteBuffer, at: LogIndex)
        /// It was applied before; what it replied is not known any more.
        case replyGone
        /// There is no such session, or no more. Nothing is applied.
        case unknownSession
    }

    private struct Session: Sendable {
        var home: NodeName?
        var lowestOpen: UInt64 = 1
        var replies = KeptReplies()
    }

    private var sessions: [UInt64: Session] = [:]
    /// How many sessions have ended since the table was made here.
    public private(set) var ends: UInt64 = 0

    /// No sessions.
    public init() {}

    /// How many sessions there are.
    public var count: Int { sessions.count }
    /// The sessions in ascending order of their numbers.
    public var ids: [UInt64] { sessions.keys.sorted() }

    /// Whether there is a session.
    public func contains(_ id: UInt64) -> Bool { sessions[id] != nil }

    /// The node that a session's client is on, as it said.
    public func home(of id: UInt64) -> NodeName? { sessions[id]?.home }

    /// A session begins.
    public mutating func register(_ id: UInt64, home: NodeName? = nil) { sessions[id] = Session(home: home) }

    /// Sessions end; those that there are not are left out.
    public mutating func expire(_ ids: [UInt64]) {
        for id in ids where sessions.removeValue(forKey: id) != nil { ends += 1 }
    }

    /// Decides on a command, and lets go of the replies that its client has seen.
    public mutating func admit(_ place: CommandPrefix.Session) -> Admission {
        guard let index = sessions.index(forKey: place.id) else { return .unknownSession }
        if place.lowestOpenSerial > sessions.values[index].lowestOpen {
            sessions.values[index].lowestOpen = place.lowestOpenSerial
            sessions.values[index].replies.drop(below: place.lowestOpenSerial)
        }
        // The client has seen the reply; this is an old copy of the command that comes late.
        guard place.serial >= sessions.values[index].lowestOpen else { return .replyGone }
        guard let slot = sessions.values[index].replies.slot(of: place.serial) else { return .new }
        return sessions.values[index].replies.reply(in: slot).map { .repeated($0, at: slot.index) } ?? .replyGone
    }

    /// Keeps the reply that `write` appends to a command at an index that was found to be new.
    ///
    /// - Returns: the reply.
    public mutating func keep(
        _ place: CommandPrefix.Session, at entry: LogIndex, _ write: (inout ByteBuffer) -> Void
    ) -> ByteBuffer {
        guard let index = sessions.index(forKey: place.id) else {
            preconditionFailure("a reply of session \(place.id), which there is not")
        }
        return sessions.values[index].replies.keep(place.serial, at: entry, write)
    }
}

// MARK: - Snapshots

extension SessionTable {
    /// About how long a piece becomes.
    private static let pieceBytes = 256 << 10

    /// The sessions as they stand in snapshots: pieces of whole sessions, in ascending order. Equal tables give equal
    /// pieces.
    ///
    /// A session is its number, the name of its node (empty for none), its lowest open serial, and a list of what was applied from that on: the serial, the
    /// index, whether the reply is kept, and the reply.
    public func encodedPieces() -> [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        var piece = ByteBuffer()
        for id in ids {
            guard let session = sessions[id] else { continue }
            encode(session, id, into: &piece)
            guard piece.readableBytes >= Self.pieceBytes else { continue }
            pieces.append(piece)
            piece = ByteBuffer()
        }
        return piece.readableBytes > 0 ? pieces + [piece] : pieces
    }

    private func encode(_ session: Session, _ id: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeLittle(id)
        buffer.writeText(session.home?.description ?? "")
        buffer.writeLittle(session.lowestOpen)
        buffer.writeList(Array(session.replies.needed)) { buffer, slot in
            let reply = session.replies.reply(in: slot)
            buffer.writeLittle(slot.serial)
            buffer.writeLittle(slot.index.rawValue)
            buffer.writeBool(reply != nil)
            buffer.writeBlock(reply ?? ByteBuffer())
        }
    }

    /// Takes the next piece of a snapshot.
    ///
    /// - Throws: `WireError` when it is none, or does not follow the one before.
    public mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        while reader.remaining > 0 {
            let id: UInt64 = try reader.integer()
            guard id > 0, sessions[id] == nil else {
                throw WireError(.malformed, "session \(id) stands twice in a snapshot, or is none")
            }
            sessions[id] = try Self.session(from: &reader)
        }
    }

    private static func session(from reader: inout WireReader) throws(WireError) -> Session {
        var session = Session()
        session.home = try reader.optionalNodeName()
        session.lowestOpen = try reader.integer()
        var last: UInt64 = 0
        let applied = try reader.list(limit: Int(Limits.openCommandsPerSession)) {
            (reader) throws(WireError) -> (UInt64, LogIndex, ByteBuffer?) in
            let serial: UInt64 = try reader.integer()
            let index = try reader.index()
            let isKept = try reader.bool()
            let reply = try reader.block(limit: KeptReplies.byteLimit)
            return (serial, index, isKept ? reply : nil)
        }
        for (serial, index, reply) in applied {
            guard serial >= session.lowestOpen, serial > last else {
                throw WireError(.malformed, "serial \(serial) behind \(last) of a session")
            }
            last = serial
            session.replies.restore(serial, at: index, reply)
        }
        return session
    }
}
