import FlotillaConsensus
import FlotillaWire
import NIOCore

/// Names one connection for as long as the node lives; never used twice.
public struct LinkID: Hashable, Sendable {
    /// Position in the kernel's table and how often that position was used before.
    @usableFromInline let rawValue: UInt64

    init(slot: Int, generation: UInt32) { rawValue = UInt64(generation) << 32 | UInt64(slot) }
    init(rawValue: UInt64) { self.rawValue = rawValue }

    var slot: Int { Int(rawValue & 0xffff_ffff) }
}

/// One connection as the kernel sees it: who is at the other end, and what is waiting to be sent there.
public final class Link {
    /// Who is at the other end.
    enum Role {
        /// It has not said hello; `dialled` names the peer whose address we dialled.
        case stranger(dialled: Peer?)
        case peer(Peer)
        case client
        /// It was refused; whatever else arrives is ignored until the connection is gone.
        case refused
    }

    /// The connection's name.
    public let id: LinkID
    var role: Role
    /// When the connection was made.
    let opened: Instant
    /// Whether the connection closes once everything that waits has been sent.
    public internal(set) var closesAfterFlush = false

    /// Buffers that are complete, to be sent before `tail`.
    private var complete: [ByteBuffer] = []
    /// Where frames are written at the moment.
    private var tail = ByteBuffer()
    /// The results frame at the end of `tail` that may still grow.
    private var results: OpenResults?
    /// Whether the kernel has put the link on its list of links with something to send.
    var isDirty = false

    /// Commands that the client has open here, and their bytes.
    var openCommands = 0
    var openCommandBytes = 0
    /// The server that the last commands frame named: most connections speak of one server only.
    var lastServer: HostedServer?

    private struct OpenResults {
        var type: FrameType
        var server: ServerUID
        var term: Term
        var frameStart: Int
        var headStart: Int
        var count: Int
    }

    init(id: LinkID, role: Role, opened: Instant) {
        self.id = id
        self.role = role
        self.opened = opened
    }

    /// Whether a client is at the other end.
    public var isFromClient: Bool { if case .client = role { true } else { false } }
    var peer: Peer? { if case .peer(let peer) = role { peer } else { nil } }

    /// Appends frames by writing to the buffer.
    func write(_ body: (inout ByteBuffer) -> Void) {
        closeResults()
        body(&tail)
    }

    /// Appends bytes that belong behind what was written last: copied when they are few, shared when they are many.
    func append(_ slices: [ByteBuffer]) {
        for slice in slices {
            if slice.readableBytes <= Self.copyLimit {
                tail.writeImmutableBuffer(slice)
            } else {
                sealTail()
                complete.append(slice)
            }
        }
    }

    /// Slices up to this many bytes are cheaper to copy than to hand to the socket one by one.
    private static let copyLimit = 16 << 10

    /// Appends results, or answers, to the frame at the end; starts a frame when the last one is of another kind or
    /// has grown long. `write` appends the items and returns how many it appended.
    func writeResults(_ type: FrameType, server: ServerUID, term: Term, _ write: (inout ByteBuffer) -> Int) {
        if let open = results,
            open.type != type || open.server != server || open.term != term
                || tail.writerIndex - open.frameStart > Limits.appendBytes
        {
            closeResults()
        }
        if results == nil {
            let frameStart = tail.beginFrame(type)
            let headStart = tail.writerIndex
            ResultBatch.begin(server: server, term: term, into: &tail)
            results = OpenResults(
                type: type, server: server, term: term, frameStart: frameStart, headStart: headStart, count: 0)
        }
        let count = write(&tail)
        results?.count += count
    }

    private func closeResults() {
        guard let open = results else { return }
        results = nil
        // Nothing has come of what the frame was begun for.
        guard open.count > 0 else { return tail.moveWriterIndex(to: open.frameStart) }
        ResultBatch.setCount(open.count, from: open.headStart, in: &tail)
        tail.endFrame(from: open.frameStart)
    }

    private func sealTail() {
        guard tail.readableBytes > 0 else { return }
        complete.append(tail)
        tail = ByteBuffer()
    }

    /// How many bytes wait to be handed over.
    var unsentBytes: Int { complete.reduce(tail.readableBytes) { $0 + $1.readableBytes } }

    /// Hands over everything that waits, in order.
    public func drain(_ send: (ByteBuffer) -> Void) {
        closeResults()
        for buffer in complete { send(buffer) }
        complete.removeAll(keepingCapacity: true)
        if tail.readableBytes > 0 {
            send(tail)
            // The socket holds the storage now: a fresh buffer of the size that this turn needed costs one
            // allocation, where writing on would copy everything.
            tail = ByteBufferAllocator().buffer(capacity: min(tail.readableBytes, 64 << 10))
        }
        isDirty = false
    }
}

/// The kernel's connections, found by their names without a dictionary.
struct LinkTable {
    private var slots: [Link?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []

    mutating func add(_ role: Link.Role, now: Instant) -> Link {
        let slot = free.popLast() ?? slots.count
        if slot == slots.count {
            slots.append(nil)
            generations.append(0)
        }
        generations[slot] &+= 1
        let link = Link(id: LinkID(slot: slot, generation: generations[slot]), role: role, opened: now)
        slots[slot] = link
        return link
    }

    subscript(id: LinkID) -> Link? {
        guard id.slot < slots.count, let link = slots[id.slot], link.id == id else { return nil }
        return link
    }

    mutating func remove(_ id: LinkID) -> Link? {
        guard let link = self[id] else { return nil }
        slots[id.slot] = nil
        free.append(id.slot)
        return link
    }

    /// All connections, in the order of their places.
    var all: [Link] { slots.compactMap { $0 } }

    /// How many connections are open.
    var count: Int { slots.count - free.count }
}
