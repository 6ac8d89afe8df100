import FlotillaWire
import NIOCore

extension StateMachine {
    @inlinable
    public mutating func applyRun(
        _ entries: ByteBuffer, version: inout MachineVersion, sessions: inout SessionTable, replies: inout Replies?,
        effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        var position = entries.readerIndex
        var last = (index: LogIndex.zero, term: Term.zero)
        while position < entries.writerIndex {
            let header = entries.withUnsafeReadableBytes { bytes -> EntryHeader? in
                guard let base = bytes.baseAddress,
                    bytes.count - (position - entries.readerIndex) >= EntryHeader.byteCount
                else { return nil }
                return EntryHeader.loadTrusted(from: base + (position - entries.readerIndex))
            }
            guard let header, position + header.entryLength <= entries.writerIndex else {
                preconditionFailure("a verified run of entries ends in the middle of one, at byte \(position)")
            }
            let body = position + EntryHeader.byteCount
            switch header.kind {
            case .command:
                try applyCommand(
                    header, entries, body: body, version: version, sessions: &sessions, replies: &replies,
                    effects: &effects)
            case .noop:
                try change(&version, to: machineVersion(inNoop: entries, at: body, header), header, &effects)
                replies?.appendNothing()
            case .down, .nodeUp, .nodeDown, .timeout:
                try tell(header, entries, body: body, version: version, effects: &effects)
                replies?.appendNothing()
            case .sessionRegister:
                sessions.register(header.index.rawValue, home: homeOfSession(in: entries, at: body, header))
                replies?.appendNothing()
            case .sessionExpire:
                sessions.expire(expiredSessions(in: entries, at: body, header))
                replies?.appendNothing()
            case .configuration, .endOfLife:
                replies?.appendNothing()
            }
            position = body + Int(header.bodyLength)
            last = (header.index, header.term)
        }
        return last
    }

    @inlinable
    mutating func applyCommand(
        _ header: EntryHeader, _ entries: ByteBuffer, body: Int, version: MachineVersion,
        sessions: inout SessionTable, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) {
        // Bytes that are no command come from a broken client. They are in the log, so every member skips them alike.
        guard let slice = entries.getSlice(at: body, length: Int(header.bodyLength)),
            let command = Self.command(in: slice, at: version)
        else {
            replies?.append(.unreadable)
            return
        }
        let place = CommandPrefix.session(in: slice)
        if let place, !isNew(place, &sessions, &replies) { return }
        do {
            let context = ApplyContext(
                index: header.index, term: header.term, time: LeaderTime(nanosecondsSince1970: header.time),
                machineVersion: version, session: place.map { SessionID($0.id) })
            let reply = try apply(command, at: context, effects: &effects)
            if let place {
                let kept = sessions.keep(place, at: header.index) { reply.encode(into: &$0) }
                replies?.append(encoded: kept)
            } else {
                replies?.append(reply)
            }
        } catch {
            throw MachineFailure(index: header.index, message: "\(error)")
        }
    }

    /// Tells the machine of another version.
    @inlinable
    mutating func change(
        _ version: inout MachineVersion, to next: MachineVersion?, _ header: EntryHeader, _ effects: inout Effects
    ) throws(MachineFailure) {
        // A leader that does not know of a rise yet may say less than the one before it.
        guard let next, next > version || !Self.versions.contains(version) else { return }
        guard Self.versions.contains(max(next, version)) else {
            throw MachineFailure(index: header.index, needs: max(next, version), of: Self.versions)
        }
        let old = version
        version = next
        try tell(.versionChanged(from: old, to: next), header, version: next, effects: &effects)
    }

    @inlinable
    mutating func tell(
        _ header: EntryHeader, _ entries: ByteBuffer, body: Int, version: MachineVersion, effects: inout Effects
    ) throws(MachineFailure) {
        guard let event = machineEvent(header, entries, at: body) else { return }
        try tell(event, header, version: version, effects: &effects)
    }

    @inlinable
    mutating func tell(
        _ event: MachineEvent, _ header: EntryHeader, version: MachineVersion, effects: inout Effects
    ) throws(MachineFailure) {
        let context = ApplyContext(
            index: header.index, term: header.term, time: LeaderTime(nanosecondsSince1970: header.time),
            machineVersion: version)
        do { try handle(event, at: context, effects: &effects) } catch {
            throw MachineFailure(index: header.index, message: "\(error)")
        }
    }

    @inlinable
    static func command(in body: ByteBuffer, at version: MachineVersion) -> Command? {
        guard let prefix = body.withUnsafeReadableBytes({ CommandPrefix.length(in: $0) }) else { return nil }
        var payload = body
        payload.moveReaderIndex(forwardBy: prefix)
        var reader = WireReader(payload)
        // Why it can't be read is the client's to find out: every member only has to agree that it can't.
        return try? readCommand(from: &reader, at: version)
    }
}

/// Whether a command of a session is to be applied; if not, it gets its reply here.
@usableFromInline
func isNew(_ place: CommandPrefix.Session, _ sessions: inout SessionTable, _ replies: inout Replies?) -> Bool {
    switch sessions.admit(place) {
    case .new: return true
    case .repeated(let reply, let index): replies?.append(encoded: reply, from: index)
    case .replyGone: replies?.append(.replyGone)
    case .unknownSession: replies?.append(.unknownSession)
    }
    return false
}

/// What an entry tells the machine.
@usableFromInline
func machineEvent(_ header: EntryHeader, _ entries: ByteBuffer, at body: Int) -> MachineEvent? {
    entries.getSlice(at: body, length: Int(header.bodyLength)).flatMap { MachineEvent(header.kind, body: $0) }
}

/// The node that the client of a session is on; `nil` when the entry that begins it names none.
@usableFromInline
func homeOfSession(in entries: ByteBuffer, at body: Int, _ header: EntryHeader) -> NodeName? {
    guard header.bodyLength > 0, let bytes = entries.getSlice(at: body, length: Int(header.bodyLength)) else {
        return nil
    }
    var reader = WireReader(bytes)
    // Who made the entry vouches for its form; a name that can't be read is none, on any member.
    return try? reader.optionalNodeName()
}

/// The sessions that an entry ends.
@usableFromInline
func expiredSessions(in entries: ByteBuffer, at body: Int, _ header: EntryHeader) -> [UInt64] {
    guard let bytes = entries.getSlice(at: body, length: Int(header.bodyLength)) else { return [] }
    var reader = WireReader(bytes)
    // Who made the entry vouches for its form; one that can't be read ends nothing, on any member.
    return (try? reader.list(limit: Limits.sessionsPerRequest) { (reader) throws(WireError) in try reader.integer() })
        ?? []
}

/// The machine version that a noop makes effective; `nil` when it names none.
@usableFromInline
func machineVersion(inNoop entries: ByteBuffer, at body: Int, _ header: EntryHeader) -> MachineVersion? {
    guard header.bodyLength >= 4 else { return nil }
    return entries.getInteger(at: body, endianness: .little).map { MachineVersion($0) }
}
