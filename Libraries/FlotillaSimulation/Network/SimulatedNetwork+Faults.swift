import NIOCore

/// What goes wrong with a network.
extension SimulatedNetwork {
    /// A process has ended: its host closes what it held.
    package func processEnded(_ host: Int) {
        listeners[host] = nil
        for end in ends where end.host == host && end.isOpen { abort(end, reason: "connection reset by peer") }
        forgetDeadEnds()
    }

    /// A host loses power: its connections are gone without a word.
    package func powerLost(_ host: Int) {
        listeners[host] = nil
        darkHosts.insert(host)
        for end in ends where end.host == host && end.isOpen {
            end.isOpen = false
            end.party = nil
            end.arriving.removeAll()
        }
    }

    /// A host has power again: what is sent to it from now on is answered.
    package func powerReturned(_ host: Int) {
        darkHosts.remove(host)
        for end in ends where end.host == host { planArrival(at: end) }
    }

    /// Lets nothing pass from one host to another until `unblock` is called as often.
    package func block(from: Int, to: Int) { blocked[Direction(from: from, to: to), default: 0] += 1 }

    /// Takes back one `block`.
    package func unblock(from: Int, to: Int) {
        let direction = Direction(from: from, to: to)
        let count = (blocked[direction] ?? 1) - 1
        blocked[direction] = count > 0 ? count : nil
        guard count <= 0 else { return }
        let delay = random.time(0...settings.retransmissionDelay.lowerBound)
        for end in ends where end.host == to && end.other?.host == from {
            scheduler.after(delay) { [self] in planArrival(at: end) }
        }
    }

    /// Makes everything from one host to another slower by so many nanoseconds; 0 ends it.
    package func slow(from: Int, to: Int, by nanoseconds: UInt64) {
        extraLatency[Direction(from: from, to: to)] = nanoseconds == 0 ? nil : nanoseconds
    }

    /// Breaks all connections between two hosts now, in the middle of whatever is on its way.
    package func reset(_ left: Int, _ right: Int) {
        let concerned = ends.filter { $0.isOpen && $0.host == left && $0.other?.host == right }
        for end in concerned {
            guard let other = end.other else { continue }
            counts.resets += 1
            deliverPart(to: end)
            deliverPart(to: other)
            shut(end, reason: "connection reset")
            shut(other, reason: "connection reset")
        }
    }

    /// Something of what was on its way may have arrived, cut at any byte.
    private func deliverPart(to end: ConnectionEnd) {
        guard case .bytes(var bytes)? = end.arriving.first?.cargo, end.isOpen, bytes.readableBytes > 1 else { return }
        end.arriving.removeAll()
        let length = random.number(0...(bytes.readableBytes - 1))
        if length > 0, let part = bytes.readSlice(length: length) { end.party?.received(part, on: end) }
    }

    /// Whether nothing passes from one host to another.
    package func isCut(_ from: Int, _ to: Int) -> Bool { blocked[Direction(from: from, to: to)] != nil }
}
