import DequeModule
import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// What machines want done.
extension Kernel {
    /// Carries out effects in their order. Those that come of others are carried out behind them: a machine may read its
    /// log entry by entry, and needs no stack for that.
    func issue(_ effects: Effects, of server: HostedServer) {
        guard !effects.list.isEmpty else { return }
        server.watch.issued.append(effects)
        guard !server.watch.isIssuing else { return }
        server.watch.isIssuing = true
        while let next = server.watch.issued.popFirst() { carryOut(next, of: server) }
        server.watch.isIssuing = false
    }

    private func carryOut(_ effects: Effects, of server: HostedServer) {
        var outbox = Outbox()
        for effect in effects.list { perform(effect, of: server, outbox: &outbox) }
        for (session, events) in outbox.takeAll() { tell(events, to: session, of: server) }
    }

    private func perform(_ effect: Effect, of server: HostedServer, outbox: inout Outbox) {
        let leads = server.core.role == .leader
        switch effect {
        case .releaseCursor(let index): server.storage.cursor = max(server.storage.cursor, index)
        case .checkpoint: server.storage.wantsCheckpoint = true
        case .aux(let command): tellAux(.cast(command), of: server)
        case .send(let message):
            if message.bytes.readableBytes > configuration.commandBytes {
                drop(
                    server,
                    "a message of \(message.bytes.readableBytes) bytes, the limit is \(configuration.commandBytes)")
            } else if isSender(of: message, server) {
                outbox.add(.message(message.bytes, message.mark), to: message.session)
            }
        case .readLog(let reading):
            if reading.node.map({ $0 == identity.name }) ?? leads { read(reading, of: server) }
        case .append(let command, let reply):
            if mayAppend(server), server.watch.unappended.isEmpty {
                appendOwn(command, reply, for: server)
            } else if leads {
                // While leadership is being handed over; if that fails, this leader goes on.
                server.watch.unappended.append((command, reply))
            }
        case .call(let name, let argument):
            if leads { output.calls.append(HandlerCall(handler: name, server: server.creation.id, argument: argument)) }
        case .monitor(let watched):
            if leads { watch(watched, for: server) }
        case .demonitor(.session(let session)): server.watch.sessions.remove(session)
        case .demonitor(.node(let node)): server.watch.nodes.remove(node)
        case .timer(let name, let setting):
            if leads { set(name, setting, of: server) }
        }
    }

    /// Whether a server may put something of its own into the log.
    private func mayAppend(_ server: HostedServer) -> Bool {
        server.core.role == .leader && server.core.transferTarget == nil && !server.core.isRetiring
            && server.core.endIndex == nil
    }

    // MARK: Commands of the machine's own

    private func appendOwn(_ command: ByteBuffer, _ reply: Effect.AppendReply, for server: HostedServer) {
        var body = ByteBuffer()
        CommandPrefix(replyMode: .none).encode(into: &body)
        body.writeImmutableBuffer(command)
        guard body.readableBytes <= configuration.commandBytes else {
            return drop(server, "a command of \(body.readableBytes) bytes, the limit is \(configuration.commandBytes)")
        }
        guard case .success(let index) = server.core.propose(count: 1) else {
            return drop(server, "it does not lead any more")
        }
        append(.command, body: body, at: index, for: server)
        if case .notify(let session, let correlation) = reply {
            server.watch.notifications.append((index, session, correlation))
        }
        markDirty(server)
    }

    /// Tells sessions what commands replied that the machine appended for them.
    func notify(_ replies: Replies?, from first: LogIndex, of server: HostedServer) {
        while let next = server.watch.notifications.first, next.index <= server.applied {
            server.watch.notifications.removeFirst()
            guard let replies, next.index >= first else { continue }
            let position = next.index - first
            guard position < replies.ends.count, !replies.refused.contains(where: { $0.position == position }) else {
                continue
            }
            let start = position == 0 ? 0 : replies.ends[position - 1]
            let reply = replies.bytes.getSlice(at: start, length: replies.ends[position] - start) ?? ByteBuffer()
            let event = SessionEvents.Event.applied(
                correlation: next.correlation, index: next.index, reply: reply)
            tell([event], to: next.session, of: server)
        }
    }

    private func drop(_ server: HostedServer, _ reason: String) {
        output.events.append(.effectDropped(server.creation.id, reason: reason))
    }

    // MARK: What is told through the log

    /// Puts into the log what the machine is to be told, when that can be done.
    func appendUntold(of server: HostedServer) {
        guard server.watch.wantsLog, mayAppend(server), server.core.readyToServe else { return }
        let commands = server.watch.unappended
        server.watch.unappended.removeAll()
        for (command, reply) in commands { appendOwn(command, reply, for: server) }
        let events = server.watch.untold
        server.watch.untold.removeAll()
        for event in events {
            guard let kind = event.entryKind, case .success(let index) = server.core.propose(count: 1) else { continue }
            append(kind, body: event.entryBody, at: index, for: server)
            server.counters.machineEvents += 1
        }
    }

    /// Has the machine told something by the log.
    private func tellThroughLog(_ event: MachineEvent, of server: HostedServer) {
        server.watch.untold.append(event)
        markDirty(server)
    }

    // MARK: Watching

    private func watch(_ watched: Effect.Watched, for server: HostedServer) {
        switch watched {
        case .session(let session):
            if server.machine.sessions.contains(session.rawValue) {
                server.watch.sessions.insert(session)
            } else {
                tellThroughLog(.down(session, .unknown), of: server)
            }
        case .node(let node):
            server.watch.nodes.insert(node)
            tellThroughLog(isUp(node) ? .nodeUp(node) : .nodeDown(node), of: server)
        }
    }

    private func isUp(_ node: NodeName) -> Bool {
        node == identity.name || peers.contains { $0.name == node && $0.isUp }
    }

    /// Another node is up, or down.
    func nodeChanged(_ node: NodeName, isUp: Bool) {
        for case let server? in servers where server.watch.nodes.contains(node) {
            tellThroughLog(isUp ? .nodeUp(node) : .nodeDown(node), of: server)
        }
    }

    /// Has the machine told of watched sessions that have ended.
    func tellEndedSessions(of server: HostedServer) {
        guard !server.watch.sessions.isEmpty else { return }
        let table = server.machine.sessions
        guard table.ends != server.watch.endsSeen else { return }
        server.watch.endsSeen = table.ends
        for session in server.watch.sessions.sorted() where !table.contains(session.rawValue) {
            server.watch.sessions.remove(session)
            tellThroughLog(.down(session, .ended), of: server)
        }
    }

    // MARK: Timers

    private func set(_ name: String, _ setting: Effect.TimerSetting, of server: HostedServer) {
        guard name.utf8.count <= Limits.effectNameBytes else {
            return drop(
                server, "a timer whose name has \(name.utf8.count) bytes, the limit is \(Limits.effectNameBytes)")
        }
        switch setting {
        case .after(let duration): server.watch.set(name, at: now + max(duration, .zero))
        case .at(let time):
            let ahead = Int64(clamping: time.nanosecondsSince1970) - Int64(clamping: wallClock)
            server.watch.set(name, at: now + .nanoseconds(max(0, ahead)))
        case .never: server.watch.set(name, at: nil)
        }
        arm(server)
    }

    func fireTimers(of server: HostedServer) {
        for name in server.watch.takeDue(now) { tellThroughLog(.timeout(name), of: server) }
    }

    // MARK: Reading the log

    private func read(_ reading: Effect.LogReading, of server: HostedServer) {
        let pending = PendingRead(indexes: reading.indexes) { _, _ in false }
        let read = WaitingEntryRead(reader: .machine(reading.then), pending: pending)
        // What is neither in memory nor in a segment is gone, or never was.
        let isAtHand = reading.indexes.allSatisfy { index in
            server.table.contains(index) || server.storage.segments.lookUp(index) == nil
        }
        guard isAtHand else { return fetchEntries(for: [read], of: server) }
        let entries = reading.indexes.map { server.table.entry(at: $0) }
        finish(read, with: ReadEntries(of: reading.indexes, entries: entries), of: server)
    }
}

/// Events for sessions, gathered over the effects of a run of entries.
private struct Outbox {
    private var events: [SessionID: [SessionEvents.Event]] = [:]

    mutating func add(_ event: SessionEvents.Event, to session: SessionID) {
        events[session, default: []].append(event)
    }

    func takeAll() -> [(SessionID, [SessionEvents.Event])] {
        events.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
