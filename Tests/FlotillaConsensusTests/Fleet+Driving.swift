import FlotillaConsensus
import FlotillaWire
import Testing

// What tests do with a fleet.
extension Fleet {
    // MARK: Network

    /// Whether two servers can reach each other.
    func isConnected(_ one: Int, _ other: Int) -> Bool {
        servers[one] != nil && servers[other] != nil && !cuts.contains([min(one, other), max(one, other)])
    }

    /// Delivers one message, if it can be, and ends the receiver's turn.
    func deliver(_ envelope: Envelope) {
        guard isConnected(envelope.from, envelope.to), !loses(envelope) else { return }
        if case .appendEntries(let message) = envelope.message {
            let event = Event.appendEntries(
                message, from: Fleet.uid(envelope.from), terms: envelope.entries.runs(after: message.previousIndex),
                configurations: envelope.entries.configurations(after: message.previousIndex),
                end: envelope.entries.end(after: message.previousIndex))
            step(envelope.to, event, entries: envelope.entries)
        } else {
            step(envelope.to, .message(envelope.message, from: Fleet.uid(envelope.from)))
        }
        flush(envelope.to)
    }

    /// Delivers what is on its way now, not what is sent meanwhile.
    func deliverRound() {
        let round = network
        network = []
        for envelope in round { deliver(envelope) }
        for number in members { flush(number) }
    }

    /// Delivers until nothing is on its way any more.
    ///
    /// - Returns: how many rounds it took.
    @discardableResult
    func settle() -> Int {
        var rounds = 0
        for number in members { flush(number) }
        while !network.isEmpty {
            rounds += 1
            #expect(rounds < 1_000, "messages without end")
            if rounds >= 1_000 { return rounds }
            deliverRound()
        }
        return rounds
    }

    /// Loses the messages on their way that `isLost` picks; all of them unless told otherwise.
    func lose(_ isLost: (Envelope) -> Bool = { _ in true }) { network.removeAll(where: isLost) }

    /// Takes the messages on their way that `isTaken` picks out of the network, to be delivered later or never.
    func take(_ isTaken: (Envelope) -> Bool) -> [Envelope] {
        let taken = network.filter(isTaken)
        network.removeAll(where: isTaken)
        return taken
    }

    /// Tells both ends that a server is there, as far as it can be reached.
    func connect(_ number: Int) {
        for other in members where other != number && isConnected(number, other) {
            step(number, .peerUp(Fleet.uid(other)))
            step(other, .peerUp(Fleet.uid(number)))
        }
    }

    /// Cuts the links between one server and some others; both ends notice.
    func cut(_ number: Int, from others: [Int]) {
        for other in others where other != number {
            cuts.insert([min(number, other), max(number, other)])
            step(number, .peerDown(Fleet.uid(other)))
            step(other, .peerDown(Fleet.uid(number)))
        }
    }

    func isolate(_ number: Int) { cut(number, from: members) }

    /// Restores all links.
    func heal() {
        let healed = cuts.sorted { $0.lexicographicallyPrecedes($1) }
        cuts = []
        for pair in healed where isConnected(pair[0], pair[1]) {
            step(pair[0], .peerUp(Fleet.uid(pair[1])))
            step(pair[1], .peerUp(Fleet.uid(pair[0])))
        }
    }

    // MARK: Crashes

    /// Stops a server at once; what was not durable is lost.
    func crash(_ number: Int) {
        servers[number] = nil
        checker.forget(number)
        logs[number]?.crash()
        for other in members where other != number { step(other, .peerDown(Fleet.uid(number))) }
    }

    func restart(_ number: Int) {
        start(number)
        connect(number)
    }

    // MARK: Time

    /// Lets time pass; servers whose deadline comes are ticked then, in order.
    func advance(by duration: Duration) {
        let end = now + duration
        while let next = nextDeadline, next.deadline <= end {
            now = max(now, next.deadline)
            step(next.number, .tick)
            flush(next.number)
        }
        now = end
    }

    /// The first deadline of any server, and whose it is.
    var nextDeadline: (number: Int, deadline: Instant)? {
        var first: (number: Int, deadline: Instant)?
        for number in members {
            guard let deadline = servers[number]?.deadline else { continue }
            if first.map({ deadline < $0.deadline }) ?? true { first = (number, deadline) }
        }
        return first
    }

    /// Moves the clock to one server's deadline and ticks that one only.
    func fire(_ number: Int) {
        guard let deadline = servers[number]?.deadline else {
            Issue.record("server \(number) waits for nothing")
            return
        }
        now = max(now, deadline)
        step(number, .tick)
        flush(number)
    }

    // MARK: Shortcuts

    /// Makes a server campaign and lets everybody talk until it is quiet.
    func elect(_ number: Int) {
        step(number, .triggerElection)
        settle()
        #expect(servers[number]?.role == .leader, "server \(number) was not elected")
    }

    /// Makes a server campaign until it leads; at first its term may be behind.
    func campaign(_ number: Int) {
        for _ in 0..<5 where servers[number]?.role != .leader {
            step(number, .triggerElection)
            settle()
        }
        #expect(servers[number]?.role == .leader, "server \(number) was not elected")
    }

    /// What one server has sent to others since a position in `sent`.
    func sentSince(_ position: Int, from number: Int) -> [ConsensusMessage] {
        sent[position...].filter { $0.from == number }.map(\.message)
    }
}

extension ConsensusMessage {
    var isAppendEntries: Bool { if case .appendEntries = self { true } else { false } }
    var isAppendReply: Bool { if case .appendReply = self { true } else { false } }
    var isVoteRequest: Bool { if case .voteRequest = self { true } else { false } }
    var isVoteReply: Bool { if case .voteReply = self { true } else { false } }
    var isReadRound: Bool { if case .readRound = self { true } else { false } }
    var isReadRoundReply: Bool { if case .readRoundReply = self { true } else { false } }
    var isCommitNotice: Bool { if case .commitNotice = self { true } else { false } }
}
