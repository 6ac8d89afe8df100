import DequeModule
import FlotillaMachine
import FlotillaWire
import NIOCore

/// A queue of messages with consumers: each message goes to one consumer at a time, until somebody settles it.
///
/// It shows what effects are for. A consumer is a client session: deliveries are messages to it, and its end, which the
/// machine watches, gives back what it had not settled. A message that was delivered so many times without being settled
/// becomes a dead letter. Messages are delivered in the order of their numbers; one that was given back goes before those
/// that came after it.
///
/// A delivery may be lost on its way, with the connection or with the leader. The next leader sends anew what its
/// consumers hold, and a consumer that was cut off asks for it (`resume`). So it may see a delivery twice, which has the
/// same number and the same count then.
public struct Queue: StateMachine {
    /// A message, and what has become of it so far.
    struct Entry: Sendable {
        var body: ByteBuffer
        var deliveries: UInt32 = 0
        /// How many deliveries it is forgiven, because it was revived.
        var forgiven: UInt32 = 0
        /// Who has it; `nil` for one that is ready, or a dead letter.
        var holder: SessionID?
    }

    /// A session that takes messages.
    struct Consumer: Sendable {
        var session: SessionID
        /// How many it may hold at a time.
        var prefetch: UInt32
        /// The messages that it holds, in ascending order: so they follow from who holds each message.
        var held = Deque<UInt64>()
    }

    let settings: Settings
    var entries: [UInt64: Entry] = [:]
    /// The messages that wait for a consumer, in ascending order.
    var ready = Deque<UInt64>()
    /// The dead letters, in ascending order.
    var dead = Deque<UInt64>()
    /// In the order in which they came.
    var consumers: [Consumer] = []
    /// Who is to get the next message.
    var turn = 0
    var lastID: UInt64 = 0
    /// The last message that a snapshot has brought.
    var lastRestored: UInt64 = 0
    /// How many bytes the messages have, dead letters included.
    var bytes = 0
    /// The keys of the latest messages that had one, oldest first, and their numbers.
    var keys = Deque<ByteBuffer>()
    var numbers: [ByteBuffer: UInt64] = [:]

    /// An empty queue with the default settings.
    public init() { settings = Settings() }

    /// An empty queue.
    ///
    /// - Throws: `WireError` for settings that can't be read or make no sense.
    public init(configuration: MachineConfiguration) throws {
        settings =
            configuration.settings.readableBytes == 0 ? Settings() : try Settings(wholePiece: configuration.settings)
    }

    public typealias Message = Deliveries

    // MARK: Commands

    public mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Reply {
        let reply = perform(command, for: context.session, &effects)
        deliver(&effects)
        return reply
    }

    private mutating func perform(_ command: Command, for session: SessionID?, _ effects: inout Effects) -> Reply {
        switch command {
        case .enqueue(let body, let key): return enqueue(body, key)
        case .subscribe(let prefetch):
            guard let session else { return .noSession }
            subscribe(session, prefetch: prefetch, &effects)
            return .done(count: 1)
        case .unsubscribe:
            guard let session else { return .noSession }
            effects.demonitor(session)
            return .done(count: leave(session) ? 1 : 0)
        case .settle(let ids): return .done(count: ids.count { settle($0, by: session) })
        case .giveBack(let ids): return .done(count: ids.count { giveBack($0, by: session) })
        case .reject(let ids): return .done(count: ids.count { reject($0, by: session) })
        case .resume:
            guard let session else { return .noSession }
            return .done(count: resend(to: session, &effects))
        case .revive(let ids): return .done(count: ids.count { revive($0) })
        case .drop(let ids): return .done(count: ids.count { drop($0) })
        }
    }

    public mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) {
        guard case .down(let session, _) = event else { return }
        _ = leave(session)
        deliver(&effects)
    }

    /// A leader watches its consumers, and sends them anew what they hold: what an earlier one sent may be lost.
    public func entered(_ role: MachineRole, effects: inout Effects) {
        guard role == .leader else { return }
        for consumer in consumers {
            effects.monitor(consumer.session)
            _ = resend(to: consumer.session, &effects)
        }
    }

    // MARK: Messages in

    private mutating func enqueue(_ body: ByteBuffer, _ key: ByteBuffer?) -> Reply {
        if let key, let number = numbers[key] { return .enqueued(id: number, isNew: false) }
        guard entries.count < settings.messagesMax, bytes + body.readableBytes <= settings.bytesMax else {
            return .full
        }
        lastID += 1
        // A copy: the command shares its memory with the whole batch of the log that it came in.
        entries[lastID] = Entry(body: ByteBuffer(bytes: body.readableBytesView))
        bytes += body.readableBytes
        ready.append(lastID)
        if let key { remember(ByteBuffer(bytes: key.readableBytesView), lastID) }
        return .enqueued(id: lastID, isNew: true)
    }

    mutating func remember(_ key: ByteBuffer, _ number: UInt64) {
        keys.append(key)
        numbers[key] = number
        while keys.count > Settings.keysKept { numbers[keys.removeFirst()] = nil }
    }

    // MARK: Consumers

    private mutating func subscribe(_ session: SessionID, prefetch: UInt32, _ effects: inout Effects) {
        let limited = min(max(prefetch, 1), Settings.prefetchMax)
        if let position = position(of: session) {
            consumers[position].prefetch = limited
        } else {
            consumers.append(Consumer(session: session, prefetch: limited))
        }
        effects.monitor(session)
    }

    func position(of session: SessionID) -> Int? { consumers.firstIndex { $0.session == session } }

    /// A consumer is no more: what it holds goes to others.
    private mutating func leave(_ session: SessionID) -> Bool {
        guard let position = position(of: session) else { return false }
        let consumer = consumers.remove(at: position)
        if turn > position { turn -= 1 }
        if turn >= consumers.count { turn = 0 }
        for id in consumer.held { putBack(id) }
        return true
    }

    // MARK: Messages out

    /// Whether somebody may do something with a message: who holds it, or anybody as long as nobody does.
    private func mayTouch(_ id: UInt64, _ session: SessionID?) -> Bool {
        guard let entry = entries[id] else { return false }
        return entry.holder == nil || entry.holder == session
    }

    private mutating func settle(_ id: UInt64, by session: SessionID?) -> Bool {
        guard mayTouch(id, session), dead.place(of: id) == nil else { return false }
        release(id)
        ready.remove(id)
        remove(id)
        return true
    }

    private mutating func giveBack(_ id: UInt64, by session: SessionID?) -> Bool {
        guard let session, entries[id]?.holder == session else { return false }
        release(id)
        putBack(id)
        return true
    }

    private mutating func reject(_ id: UInt64, by session: SessionID?) -> Bool {
        guard mayTouch(id, session), dead.place(of: id) == nil else { return false }
        release(id)
        ready.remove(id)
        dead.insert(inOrder: id)
        return true
    }

    private mutating func revive(_ id: UInt64) -> Bool {
        guard dead.remove(id) else { return false }
        // The count goes on, so that consumers can tell this delivery from those before.
        let deliveries = entries[id]?.deliveries ?? 0
        entries[id]?.forgiven = deliveries
        ready.insert(inOrder: id)
        return true
    }

    private mutating func drop(_ id: UInt64) -> Bool {
        guard dead.remove(id) else { return false }
        remove(id)
        return true
    }

    private mutating func remove(_ id: UInt64) {
        if let entry = entries.removeValue(forKey: id) { bytes -= entry.body.readableBytes }
    }

    /// Takes a message from its holder, if it has one.
    private mutating func release(_ id: UInt64) {
        guard let holder = entries[id]?.holder else { return }
        entries[id]?.holder = nil
        guard let position = position(of: holder) else { return }
        consumers[position].held.remove(id)
    }

    /// A message was not settled: it is ready again, or has been delivered often enough.
    private mutating func putBack(_ id: UInt64) {
        entries[id]?.holder = nil
        if let entry = entries[id], entry.deliveries - entry.forgiven >= settings.deliveriesMax {
            dead.insert(inOrder: id)
        } else {
            ready.insert(inOrder: id)
        }
    }

    // MARK: Delivery

    /// Gives what is ready to consumers that may hold more, in turn.
    private mutating func deliver(_ effects: inout Effects) {
        var outgoing: [(session: SessionID, deliveries: [Delivery])] = []
        while let id = ready.first, let position = nextConsumer() {
            ready.removeFirst()
            entries[id]?.deliveries += 1
            entries[id]?.holder = consumers[position].session
            consumers[position].held.insert(inOrder: id)
            turn = (position + 1) % consumers.count
            let session = consumers[position].session
            guard let delivery = delivery(id) else { continue }
            if let place = outgoing.firstIndex(where: { $0.session == session }) {
                outgoing[place].deliveries.append(delivery)
            } else {
                outgoing.append((session, [delivery]))
            }
        }
        for (session, deliveries) in outgoing { send(deliveries, to: session, &effects) }
    }

    /// The next consumer that may hold more.
    private func nextConsumer() -> Int? {
        for step in consumers.indices {
            let position = (turn + step) % consumers.count
            if consumers[position].held.count < consumers[position].prefetch { return position }
        }
        return nil
    }

    private func delivery(_ id: UInt64) -> Delivery? {
        entries[id].map { Delivery(id: id, count: $0.deliveries, body: $0.body) }
    }

    /// Sends a consumer anew what it holds.
    private func resend(to session: SessionID, _ effects: inout Effects) -> Int {
        guard let position = position(of: session) else { return 0 }
        let deliveries = consumers[position].held.compactMap { delivery($0) }
        send(deliveries, to: session, &effects)
        return deliveries.count
    }

    private func send(_ deliveries: [Delivery], to session: SessionID, _ effects: inout Effects) {
        var rest = deliveries[...]
        while !rest.isEmpty {
            let part = Self.page(of: rest)
            rest = rest.dropFirst(part.count)
            effects.send(Deliveries(list: Array(part)), to: session)
        }
    }

    // MARK: Queries

    public func answer(_ query: Query, at context: QueryContext) -> Answer {
        switch query {
        case .status:
            .status(
                Status(
                    ready: ready.count, held: entries.count - ready.count - dead.count, dead: dead.count,
                    consumers: consumers.count, bytes: bytes))
        case .ready(let after, let limit): .messages(page(ready, after, limit))
        case .dead(let after, let limit): .messages(page(dead, after, limit))
        }
    }

    private func page(_ ids: Deque<UInt64>, _ after: UInt64, _ limit: UInt32) -> [Delivery] {
        let found = ids[ids.firstPlace(notBelow: after &+ 1)...].prefix(Int(min(limit, Settings.pageMax)))
            .compactMap { delivery($0) }
        return Array(Self.page(of: found[...]))
    }

    /// As many from the front as may be sent at once: at least one, however long it is.
    private static func page(of deliveries: ArraySlice<Delivery>) -> ArraySlice<Delivery> {
        var bytes = 0
        let count = deliveries.prefix { delivery in
            bytes += delivery.body.readableBytes
            return bytes <= Settings.messageBytes
        }.count
        return deliveries.prefix(max(count, 1))
    }

    public var overview: [NamedValue] {
        [
            NamedValue("queue_messages_ready", UInt64(ready.count)),
            NamedValue("queue_messages_held", UInt64(entries.count - ready.count - dead.count)),
            NamedValue("queue_dead_letters", UInt64(dead.count)),
            NamedValue("queue_consumers", UInt64(consumers.count)),
        ]
    }
}

extension Deque<UInt64> {
    /// Where the first number stands that is not below one, in a deque that ascends.
    func firstPlace(notBelow number: UInt64) -> Int {
        guard let last, last >= number else { return count }
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Where a number stands in a deque that ascends.
    func place(of number: UInt64) -> Int? {
        let place = firstPlace(notBelow: number)
        return place < count && self[place] == number ? place : nil
    }

    /// Puts a number where it belongs.
    mutating func insert(inOrder number: UInt64) { insert(number, at: firstPlace(notBelow: number)) }

    /// Takes a number out.
    ///
    /// - Returns: whether it was there.
    @discardableResult
    mutating func remove(_ number: UInt64) -> Bool {
        guard let place = place(of: number) else { return false }
        remove(at: place)
        return true
    }
}
