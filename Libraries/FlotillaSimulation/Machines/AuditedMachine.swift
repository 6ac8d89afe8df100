import FlotillaMachine
import FlotillaWire
import NIOCore

/// A machine that is watched: after each entry that it applies, what it has become is compared with what every other
/// member of its cluster has become at the same entry.
final class AuditedMachine: HostedMachine {
    private let machine: HostedMachine
    private let cluster: String
    private let ledger: ApplyLedger
    private let owner: Int
    private var last: LogIndex = .zero
    private var chain: UInt64 = 0
    /// Whether the first piece of a snapshot has come, and not the end of the restoring.
    private var isRestoring = false

    /// The versions that the code of its node can run; that of the machine itself can run more.
    private let runnable: ClosedRange<MachineVersion>

    init(
        _ machine: HostedMachine, versions: ClosedRange<MachineVersion> = 0...0, cluster: String, owner: Int,
        ledger: ApplyLedger
    ) {
        self.machine = machine
        runnable = versions
        self.cluster = cluster
        self.owner = owner
        self.ledger = ledger
    }

    override func apply(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        guard let (place, needed) = firstBeyond(entries) else {
            return try applyRun(entries, version: &version, replies: &replies, effects: &effects)
        }
        if let before = entries.getSlice(at: entries.readerIndex, length: place.offset), place.offset > 0 {
            _ = try applyRun(before, version: &version, replies: &replies, effects: &effects)
        }
        throw MachineFailure(index: place.index, needs: needed, of: runnable)
    }

    /// The first entry that has the cluster run a version that the code of this node can't.
    private func firstBeyond(
        _ entries: ByteBuffer
    ) -> (place: (index: LogIndex, offset: Int), version: MachineVersion)? {
        var rest = entries
        while let header = rest.withUnsafeReadableBytes({ Self.header($0) }) {
            let body = rest.readerIndex + EntryHeader.byteCount
            if header.kind == .noop, header.bodyLength >= 4,
                let number: UInt32 = rest.getInteger(at: body, endianness: .little),
                MachineVersion(number) > runnable.upperBound
            {
                return ((header.index, rest.readerIndex - entries.readerIndex), MachineVersion(number))
            }
            rest.moveReaderIndex(forwardBy: min(header.entryLength, rest.readableBytes))
        }
        return nil
    }

    private func applyRun(
        _ entries: ByteBuffer, version: inout MachineVersion, replies: inout Replies?, effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term) {
        // Replies are part of what is compared, so they are made whether anybody waits for them or not.
        var all: Replies? = replies ?? Replies()
        let before = all?.ends.count ?? 0
        let old = version
        let reached = try machine.apply(entries, version: &version, replies: &all, effects: &effects)
        if version < old {
            ledger.fail("node \(owner + 1) falls back from version \(old) of the machine of \(cluster) to \(version)")
        }
        if let all { audit(entries, replies: all, from: before) }
        if replies != nil { replies = all }
        return reached
    }

    private func audit(_ entries: ByteBuffer, replies: Replies, from before: Int) {
        var rest = entries
        var position = before
        while let header = rest.withUnsafeReadableBytes({ Self.header($0) }), position < replies.ends.count {
            if header.index != last.next {
                ledger.fail("node \(owner + 1) applies entry \(header.index) of \(cluster) behind entry \(last)")
            }
            last = header.index
            if !Self.isAsItWasMade(header, rest) {
                ledger.fail(
                    "node \(owner + 1) applies other bytes as entry \(header.index) of \(cluster) than were sent")
            }
            let start = position == 0 ? 0 : replies.ends[position - 1]
            let reply = replies.bytes.getSlice(at: start, length: replies.ends[position] - start) ?? ByteBuffer()
            mix(UInt64(header.kind.rawValue) << 32 | UInt64(header.bodyChecksum))
            mix(UInt64(reply.withUnsafeReadableBytes { Checksum.crc32c($0) }))
            ledger.applied(cluster, header.index, term: header.term, chain: chain, by: owner)
            rest.moveReaderIndex(forwardBy: min(header.entryLength, rest.readableBytes))
            position += 1
        }
    }

    private static func header(_ bytes: UnsafeRawBufferPointer) -> EntryHeader? {
        guard bytes.count >= EntryHeader.byteCount, let base = bytes.baseAddress else { return nil }
        return EntryHeader.loadTrusted(from: base)
    }

    private static func isAsItWasMade(_ header: EntryHeader, _ entries: ByteBuffer) -> Bool {
        guard
            let body = entries.getSlice(at: entries.readerIndex + EntryHeader.byteCount, length: Int(header.bodyLength))
        else { return false }
        return body.withUnsafeReadableBytes { Checksum.crc32c($0) } == header.bodyChecksum
    }

    private func mix(_ word: UInt64) {
        chain = (chain ^ word) &* 0x9e37_79b9_7f4a_7c15
        chain ^= chain >> 31
    }

    override func answer(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead? {
        try machine.answer(query, at: context, into: &buffer)
    }

    // MARK: Beside the log

    override func entered(_ role: MachineRole, effects: inout Effects) { machine.entered(role, effects: &effects) }

    override func tick(at time: LeaderTime, effects: inout Effects) { machine.tick(at: time, effects: &effects) }

    override func installed(at index: LogIndex, replacing old: HostedMachine, effects: inout Effects) {
        machine.installed(at: index, replacing: (old as? AuditedMachine)?.machine ?? old, effects: &effects)
    }

    override func tellAux(
        _ event: RawAuxEvent, at context: AuxContext, effects: inout Effects
    ) throws(WireError) -> ByteBuffer? { try machine.tellAux(event, at: context, effects: &effects) }

    override var hasAux: Bool { machine.hasAux }

    override var versions: ClosedRange<MachineVersion> { runnable }

    // MARK: Snapshots

    /// The machine's own pieces behind one that says after which entry this is the state, and the chain there.
    override func freeze() -> StateSnapshot? {
        guard let snapshot = machine.freeze() else { return nil }
        let (last, chain) = (last, chain)
        return StateSnapshot(from: true) { isFirst in
            guard isFirst else { return try snapshot.next() }
            isFirst = false
            var piece = ByteBuffer()
            piece.writeLittle(last.rawValue)
            piece.writeLittle(chain)
            return piece
        } liveIndexes: {
            snapshot.liveIndexes()
        }
    }

    override func restore(_ piece: ByteBuffer) throws(WireError) {
        guard !isRestoring else { return try machine.restore(piece) }
        isRestoring = true
        var reader = WireReader(piece)
        last = try reader.index()
        chain = try reader.integer()
        guard reader.remaining == 0 else { throw WireError(.malformed, "bytes behind the chain") }
    }

    override func finishRestore() throws(WireError) {
        guard isRestoring else { throw WireError(.truncated, "the piece with the chain is missing") }
        isRestoring = false
        try machine.finishRestore()
        ledger.restored(cluster, last, chain: chain, by: owner)
    }

    override var sessions: SessionTable { machine.sessions }

    override func restoreSessions(_ piece: ByteBuffer) throws(WireError) { try machine.restoreSessions(piece) }

    override var overview: [NamedValue] { machine.overview }
}
