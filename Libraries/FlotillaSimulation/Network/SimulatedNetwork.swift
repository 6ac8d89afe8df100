import DequeModule
import FlotillaWire
import NIOCore

/// The network of a world: connections between hosts that keep order as TCP does, and everything that can go wrong
/// with them.
///
/// What is sent over a connection arrives in order or the connection ends. A blocked direction keeps what is on its
/// way until it is open again, as retransmission does; nobody is told.
package final class SimulatedNetwork {
    /// How the network behaves where no fault is planned.
    package struct Settings: Equatable, Sendable {
        /// How long a packet takes, in nanoseconds.
        package var latency: ClosedRange<UInt64> = 50_000...500_000
        /// How many packets in a thousand are lost on the way and sent again.
        package var retransmissionsPerMille = 0
        /// How long it takes until a lost packet is sent again.
        package var retransmissionDelay: ClosedRange<UInt64> = 200_000_000...400_000_000
        /// How many packets in a thousand arrive in two parts.
        package var splitsPerMille = 50
        package var chaos = FrameChaos()

        /// A network without faults.
        package init() {}
    }

    /// How a host takes a connection; gives who holds the new end, `nil` when nobody listens.
    package typealias Listener = (ConnectionEnd) -> (any Party)?

    struct Direction: Hashable {
        var from: Int
        var to: Int
    }

    let scheduler: Scheduler
    var random: Randomness
    private var chaosRandom: Randomness
    package var settings: Settings
    var listeners: [Int: Listener] = [:]
    /// Hosts without power: what is sent to them is lost, and they say nothing.
    var darkHosts: Set<Int> = []
    /// How many faults block a direction.
    var blocked: [Direction: Int] = [:]
    var extraLatency: [Direction: UInt64] = [:]
    /// All ends, in the order in which they were made.
    var ends: [ConnectionEnd] = []
    private var connectionNumber: UInt64 = 0
    package internal(set) var counts = NetworkCounts()
    /// Hears of everything that is sent from one host to another, when it is sent.
    package var monitor: (_ bytes: ByteBuffer, _ from: Int, _ to: Int) -> Void = { _, _, _ in }

    package init(scheduler: Scheduler, seed: UInt64, settings: Settings) {
        self.scheduler = scheduler
        self.settings = settings
        random = .of("network", seed: seed)
        chaosRandom = .of("chaos", seed: seed)
    }

    /// Lets a host take connections, or stop taking them.
    package func listen(_ host: Int, _ listener: Listener?) { listeners[host] = listener }

    // MARK: Connecting

    /// Connects one host to another; `done` is told the near end, or nothing when it could not be done.
    package func dial(
        from: Int, to: Int, as party: any Party, done: @escaping (ConnectionEnd?) -> Void
    ) {
        let patience: UInt64 = 2_000_000_000
        let there = latency(from: from, to: to)
        scheduler.after(there) { [self] in
            guard !isCut(from, to), !isCut(to, from), !darkHosts.contains(to) else {
                return scheduler.after(patience - min(patience, there)) { done(nil) }
            }
            let back = latency(from: to, to: from)
            connectionNumber += 1
            guard let listener = listeners[to] else { return scheduler.after(back) { done(nil) } }
            let near = ConnectionEnd(host: from, number: connectionNumber, isDialler: true, party: party)
            let far = ConnectionEnd(host: to, number: connectionNumber, isDialler: false, party: party)
            near.other = far
            far.other = near
            guard let holder = listener(far) else { return scheduler.after(back) { done(nil) } }
            far.party = holder
            ends.append(near)
            ends.append(far)
            counts.connections += 1
            scheduler.after(back) {
                // Whoever dialled may have ended since; then the far end must hear of it, as from any dead host.
                if party.isGone, near.isOpen { self.abort(near, reason: "connection reset by peer") }
                done(near.isOpen ? near : nil)
            }
        }
    }

    private func latency(from: Int, to: Int) -> UInt64 {
        random.time(settings.latency) + (extraLatency[Direction(from: from, to: to)] ?? 0)
    }

    // MARK: Sending

    /// Sends whole frames.
    package func send(_ bytes: ByteBuffer, from end: ConnectionEnd) {
        guard end.isOpen, let other = end.other, bytes.readableBytes > 0 else { return }
        monitor(bytes, end.host, other.host)
        counts.bytes += UInt64(bytes.readableBytes)
        guard end.host < Self.clientsStart, other.host < Self.clientsStart, !settings.chaos.isCalm else {
            return enqueue(bytes, to: other)
        }
        var rest = bytes
        var calm = ByteBuffer()
        while let frame = FrameChaos.nextFrame(of: &rest) {
            if FrameChaos.concerns(frame.type), disturb(frame.bytes, to: other) { continue }
            calm.writeImmutableBuffer(frame.bytes)
        }
        if calm.readableBytes > 0 { enqueue(calm, to: other) }
    }

    /// Nodes have numbers below this one, clients from it on.
    package static let clientsStart = 100

    /// Lets the dice fall for one message.
    ///
    /// - Returns: whether it must not be sent the usual way any more.
    private func disturb(_ frame: ByteBuffer, to end: ConnectionEnd) -> Bool {
        let chaos = settings.chaos
        if chaosRandom.chance(perMille: chaos.lossPerMille) {
            counts.lostMessages += 1
            return true
        }
        let late = chaosRandom.time(chaos.lateness)
        if chaosRandom.chance(perMille: chaos.repeatPerMille) {
            counts.repeatedMessages += 1
            scheduler.after(late) { [self] in if end.isOpen { enqueue(frame, to: end) } }
        }
        guard chaosRandom.chance(perMille: chaos.latePerMille) else { return false }
        counts.lateMessages += 1
        scheduler.after(late) { [self] in if end.isOpen { enqueue(frame, to: end) } }
        return true
    }

    private func enqueue(_ bytes: ByteBuffer, to end: ConnectionEnd) {
        guard let from = end.other?.host else { return }
        var time = scheduler.now + latency(from: from, to: end.host)
        if random.chance(perMille: settings.retransmissionsPerMille) {
            counts.retransmissions += 1
            time += random.time(settings.retransmissionDelay)
        }
        guard bytes.readableBytes > 1, random.chance(perMille: settings.splitsPerMille) else {
            return plan(.bytes(bytes), at: time, to: end)
        }
        counts.splits += 1
        var rest = bytes
        let cut = random.number(1...(bytes.readableBytes - 1))
        if let head = rest.readSlice(length: cut) { plan(.bytes(head), at: time, to: end) }
        plan(.bytes(rest), at: time + random.time(settings.latency), to: end)
    }

    private func plan(_ cargo: ConnectionEnd.Cargo, at time: UInt64, to end: ConnectionEnd) {
        end.lastArrival = max(end.lastArrival, time)
        end.arriving.append((end.lastArrival, cargo))
        planArrival(at: end)
    }

    func planArrival(at end: ConnectionEnd) {
        guard !end.isPlanned, let first = end.arriving.first else { return }
        end.isPlanned = true
        scheduler.at(first.time) { [self] in
            end.isPlanned = false
            arrive(at: end)
        }
    }

    private func arrive(at end: ConnectionEnd) {
        guard let other = end.other, !end.arriving.isEmpty else { return }
        // What can't pass waits; whoever opens the way plans its arrival anew.
        if isCut(other.host, end.host) { return }
        if darkHosts.contains(end.host) { return }
        let cargo = end.arriving.removeFirst().cargo
        guard end.isOpen else {
            end.arriving.removeAll()
            // Nobody is there any more: the sender is told, as its host's next packet would be.
            if case .bytes = cargo { abort(end, reason: "connection reset by peer") }
            return
        }
        switch cargo {
        case .bytes(let bytes): end.party?.received(bytes, on: end)
        case .end(let reason): shut(end, reason: reason)
        }
        planArrival(at: end)
    }

    // MARK: Closing

    /// Closes an end after everything that was sent from it.
    package func close(_ end: ConnectionEnd) {
        guard end.isOpen else { return }
        end.isOpen = false
        end.party = nil
        end.arriving.removeAll()
        if let other = end.other, other.isOpen {
            plan(
                .end(reason: "closed by the other side"), at: scheduler.now + latency(from: end.host, to: other.host),
                to: other)
        }
        forgetDeadEnds()
    }

    /// Ends a connection as a dead process's system does: what it sent may or may not arrive first.
    func abort(_ end: ConnectionEnd, reason: String) {
        end.isOpen = false
        end.party = nil
        end.arriving.removeAll()
        guard let other = end.other, other.isOpen else { return }
        plan(.end(reason: reason), at: scheduler.now + latency(from: end.host, to: other.host), to: other)
    }

    func shut(_ end: ConnectionEnd, reason: String) {
        guard end.isOpen else { return }
        end.isOpen = false
        end.arriving.removeAll()
        let party = end.party
        end.party = nil
        counts.closed += 1
        party?.closed(end, reason: reason)
        forgetDeadEnds()
    }

    func forgetDeadEnds() {
        guard ends.count > 256 else { return }
        let dead = ends.filter { !$0.isOpen && !($0.other?.isOpen ?? false) }
        ends.removeAll { !$0.isOpen && !($0.other?.isOpen ?? false) }
        for end in dead { end.other = nil }
    }

    /// Lets go of everything, at the end of a world.
    package func forgetAll() {
        for end in ends {
            end.other = nil
            end.party = nil
        }
        ends.removeAll()
        listeners.removeAll()
        monitor = { _, _, _ in }
    }
}
