import FlotillaWire
import NIOCore

/// The replies to a run of commands, back to back in one buffer: cheap to fill, and read once.
public struct Replies: Sendable {
    /// The encoded replies.
    public private(set) var bytes = ByteBuffer()
    /// Where each reply ends; it starts where the one before ends.
    public private(set) var ends: [Int] = []
    /// The positions in `ends` of commands that the machine could not read. They changed nothing, on any member.
    public private(set) var unreadable: [Int] = []

    /// No replies.
    public init() {}

    /// Forgets all, keeping the memory.
    @inlinable
    public mutating func removeAll() { clear() }

    @usableFromInline
    mutating func clear() {
        bytes.clear()
        ends.removeAll(keepingCapacity: true)
        unreadable.removeAll(keepingCapacity: true)
    }

    @usableFromInline
    mutating func appendUnreadable() {
        unreadable.append(ends.count)
        ends.append(bytes.writerIndex)
    }

    /// Adds the reply to the next entry; nothing for one that is no command.
    @inlinable
    mutating func append(_ reply: some WireCodable) {
        modify { reply.encode(into: &$0) }
    }

    @inlinable
    mutating func appendNothing() { modify { _ in } }

    @usableFromInline
    mutating func modify(_ write: (inout ByteBuffer) -> Void) {
        write(&bytes)
        ends.append(bytes.writerIndex)
    }
}

/// Why a machine stopped at an entry.
public struct MachineFailure: Error, Sendable, CustomStringConvertible {
    /// The entry that it could not apply.
    public var index: LogIndex
    /// What went wrong, for people.
    public var message: String
    /// Index and message.
    public var description: String { "at index \(index): \(message)" }

    /// A failure of these parts.
    public init(index: LogIndex, message: String) {
        self.index = index
        self.message = message
    }
}

/// A state machine without its type: what the kernel holds. One virtual call serves a whole run of entries.
///
/// Not thread-safe: it belongs to the kernel that hosts its server.
open class HostedMachine {
    /// For subclasses.
    public init() {}

    /// Applies the committed entries that stand back to back in `entries`, whole and verified.
    ///
    /// - Parameters:
    ///   - replies: gets one reply for each entry, also for those that are no commands; `nil` when nobody waits.
    ///   - effects: gets what the machine wants done.
    /// - Returns: index and term of the last entry.
    /// - Throws: `MachineFailure` at the first entry that the machine can't apply; those before it are applied.
    open func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        preconditionFailure("a hosted machine must apply entries")
    }

    /// Answers an encoded query by appending the encoded answer.
    open func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) {
        preconditionFailure("a hosted machine must answer queries")
    }

    /// What the overview shows of the state.
    open var overview: [NamedValue] { [] }
}

/// A state machine of a known type behind the common surface.
public final class MachineHost<Machine: StateMachine>: HostedMachine {
    /// The state.
    @usableFromInline var machine: Machine

    /// Hosts a machine.
    public init(_ machine: Machine) { self.machine = machine }

    @inlinable
    public override func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        var position = entries.readerIndex
        var last = (index: LogIndex.zero, term: Term.zero)
        while position < entries.writerIndex {
            let header = entries.withUnsafeReadableBytes { bytes -> EntryHeader? in
                guard let base = bytes.baseAddress else { return nil }
                return EntryHeader.loadTrusted(from: base + (position - entries.readerIndex))
            }
            guard let header, position + header.entryLength <= entries.writerIndex else {
                preconditionFailure("a verified run of entries ends in the middle of one, at byte \(position)")
            }
            let body = position + EntryHeader.byteCount
            switch header.kind {
            case .command:
                try applyCommand(header, entries, body: body, version: version, replies: &replies, effects: &effects)
            case .noop:
                version = Self.version(inNoop: entries, at: body, header) ?? version
                replies?.appendNothing()
            case .configuration, .sessionRegister, .sessionExpire, .down, .nodeUp, .nodeDown, .timeout, .endOfLife:
                replies?.appendNothing()
            }
            position = body + Int(header.bodyLength)
            last = (header.index, header.term)
        }
        return last
    }

    @inlinable
    func applyCommand(
        _ header: EntryHeader, _ entries: ByteBuffer, body: Int, version: MachineVersion, replies: inout Replies?,
        effects: inout Effects
    ) throws(MachineFailure) {
        let length = Int(header.bodyLength)
        // Bytes that are no command come from a broken client. They are in the log, so every member skips them alike.
        guard let slice = entries.getSlice(at: body, length: length),
            let command = Self.command(in: slice)
        else {
            replies?.appendUnreadable()
            return
        }
        do {
            let context = ApplyContext(
                index: header.index, term: header.term, time: LeaderTime(nanosecondsSince1970: header.time),
                machineVersion: version)
            let reply = try machine.apply(command, at: context, effects: &effects)
            replies?.append(reply)
        } catch {
            throw MachineFailure(index: header.index, message: "\(error)")
        }
    }

    @inlinable
    static func command(in body: ByteBuffer) -> Machine.Command? {
        guard let prefix = body.withUnsafeReadableBytes({ CommandPrefix.length(in: $0) }) else { return nil }
        var payload = body
        payload.moveReaderIndex(forwardBy: prefix)
        var reader = WireReader(payload)
        return try? Machine.Command(from: &reader)
    }

    @usableFromInline
    static func version(inNoop entries: ByteBuffer, at body: Int, _ header: EntryHeader) -> MachineVersion? {
        guard header.bodyLength >= 4 else { return nil }
        return entries.getInteger(at: body, endianness: .little).map { MachineVersion($0) }
    }

    public override func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) {
        var reader = WireReader(query)
        let question = try Machine.Query(from: &reader)
        machine.answer(question, at: context).encode(into: &buffer)
    }

    public override var overview: [NamedValue] { machine.overview }
}
