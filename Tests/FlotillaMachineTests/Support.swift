import FlotillaMachine
import FlotillaWire
import NIOCore

/// Adds numbers; refuses to go on at a number below zero, and asks for a command of its own at each multiple of ten.
struct Adder: StateMachine {
    struct BadSettings: Error {}
    struct Negative: Error {}

    static let versions: ClosedRange<MachineVersion> = 0...9
    var sum: Int64 = 0
    /// The contexts of all commands, in order.
    var contexts: [ApplyContext] = []

    init(configuration: MachineConfiguration) throws {
        guard configuration.settings.readableBytes == 0 else { throw BadSettings() }
    }

    mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) throws -> Int64 {
        guard command >= 0 else { throw Negative() }
        if command > 0, command % 10 == 0 { effects.append(command / 10) }
        sum &+= command
        contexts.append(context)
        return sum
    }

    func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }

    var overview: [NamedValue] { [NamedValue("commands_total", UInt64(contexts.count))] }
}

/// Builds runs of encoded entries with consecutive indexes.
struct RunBuilder {
    private(set) var bytes = ByteBuffer()
    private var index = LogIndex.zero

    mutating func append(_ kind: EntryKind, body: ByteBuffer = ByteBuffer()) {
        index = index.next
        let header = EntryHeader(
            kind: kind, bodyLength: UInt32(body.readableBytes), index: index, term: 3, time: 1_000 + index.rawValue,
            bodyChecksum: body.withUnsafeReadableBytes { Checksum.crc32c($0) })
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: EntryHeader.byteCount) { room in
            guard let base = room.baseAddress else { return 0 }
            header.store(to: base)
            return EntryHeader.byteCount
        }
        bytes.writeImmutableBuffer(body)
    }

    mutating func append(_ number: Int64, prefix: CommandPrefix = CommandPrefix()) {
        var body = ByteBuffer()
        prefix.encode(into: &body)
        number.encode(into: &body)
        append(.command, body: body)
    }
}

/// A hosted adder with everything that a kernel keeps beside it.
final class AdderServer {
    let machine: HostedMachine
    var version: MachineVersion = 0
    var replies: Replies? = Replies()
    var effects = Effects()

    init() throws {
        var registry = MachineRegistry()
        registry.register(Adder.self, as: "adder")
        machine = try registry.makeMachine(
            named: "adder", configuration: MachineConfiguration(cluster: try ClusterName("test")))
    }

    @discardableResult
    func apply(_ entries: ByteBuffer) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        try machine.apply(entries, version: &version, replies: &replies, effects: &effects)
    }

    /// The replies as numbers, `nil` where nothing was replied.
    var numbers: [Int64?] {
        guard let replies else { return [] }
        let starts = [0] + replies.ends.dropLast()
        return zip(starts, replies.ends).map {
            replies.bytes.getInteger(at: $0, endianness: .little, as: Int64.self, ifLength: $1 - $0)
        }
    }

    func sum() throws -> Int64? {
        var answer = ByteBuffer()
        _ = try machine.answer(ByteBuffer(), at: QueryContext(index: 0, term: 0, machineVersion: 0), into: &answer)
        return answer.readInteger(endianness: .little)
    }
}

extension ByteBuffer {
    fileprivate func getInteger<Number: FixedWidthInteger>(
        at index: Int, endianness: Endianness, as type: Number.Type, ifLength length: Int
    ) -> Number? {
        length == MemoryLayout<Number>.size ? getInteger(at: index, endianness: endianness, as: type) : nil
    }
}
