import FlotillaWire
import NIOCore

/// A session of a client with a cluster.
struct SimulatedSession {
    var id: UInt64
    /// The cluster, which may be another under the same name later.
    var cluster: ClusterID
    private var next: UInt64 = 1
    private var open: Set<UInt64> = []

    init(id: UInt64, cluster: ClusterID) {
        self.id = id
        self.cluster = cluster
    }

    /// Gives out the next serial.
    mutating func take() -> CommandPrefix.Session {
        open.insert(next)
        defer { next += 1 }
        return CommandPrefix.Session(id: id, serial: next, lowestOpenSerial: open.min() ?? next)
    }

    /// Nobody waits for a command any more.
    mutating func close(_ place: CommandPrefix.Session) { open.remove(place.serial) }
}

/// A command of a session is sent again and again until it is answered, to whoever may take it, and sometimes long
/// after; it takes effect once.
extension SimulatedClient {
    // MARK: The beginning

    /// Whether commands can be sent, as far as sessions go; asks for one if not.
    func hasSession(at target: (uid: ServerUID, node: Int)) -> Bool {
        guard world.plan.options.sessions != nil else { return true }
        if let session = sessions[cluster] {
            guard session.cluster != routes[cluster]?.cluster else { return true }
            leave(session)
        }
        guard opening == nil else { return false }
        correlation += 1
        let number = correlation
        opening = (number, target.node)
        ask(.openSession(target.uid, home: nil, timeoutMilliseconds: 1_000), as: number, of: target.node)
        world.scheduler.after(1_200_000_000) { [self] in
            guard opening?.correlation == number else { return }
            opening = nil
            routes[cluster] = nil
            pursue()
        }
        return false
    }

    /// The cluster was made again under its name: numbers of the old one's sessions mean nothing there.
    private func leave(_ session: SimulatedSession) {
        sessions[cluster] = nil
        for attempt in round where !attempt.isOver && attempt.place?.id == session.id {
            expired(attempt)
        }
    }

    /// An answer to the request for a session has come, or it never will.
    func sessionAnswered(_ response: ClientResponse?) {
        opening = nil
        switch response {
        case .sessionOpened(let opened):
            guard let cluster = routes[self.cluster]?.cluster else { break }
            world.report.sessions += 1
            sessions[self.cluster] = SimulatedSession(id: opened.id, cluster: cluster)
            return pursue()
        case .error(let error): redirect(error)
        default: routes[self.cluster] = nil
        }
        pursueSoon()
    }

    func ask(_ request: ClientRequest, as number: UInt64, of node: Int) {
        connection(to: node).send { buffer in
            buffer.writeFrame(request.frameType, correlation: number) { request.encodeBody(into: &$0) }
        }
    }

    // MARK: Life

    /// Tells the leaders now and then that the client lives. In between it may fall silent for too long.
    func keepSessions() {
        guard let options = world.plan.options.sessions else { return }
        let lease = UInt64(options.leaseMilliseconds) * 1_000_000
        world.scheduler.after(lease / 4) { [self] in
            guard world.isRunning else { return }
            for cluster in sessions.keys.sorted() {
                guard let session = sessions[cluster], let route = routes[cluster],
                    let leader = route.members.first(where: { $0.uid == route.leader })
                else { continue }
                correlation += 1
                ask(.keepSessions(leader.uid, [session.id]), as: correlation, of: leader.node)
            }
            keepSessions()
        }
    }

    // MARK: Once more

    /// Some of the commands of a burst are sent later, when others may have been answered: what they say is open differs.
    func partToSend(of waiting: [Attempt]) -> [Attempt] {
        guard !waiting[0].work.isQuery, sessions[cluster] != nil, whim.chance(perMille: 500) else { return waiting }
        return Array(waiting.prefix(whim.number(1...waiting.count)))
    }

    /// Sends what is open once more after a while, whether it is still on its way or not. The pauses grow, since a cluster
    /// takes in less than clients can send.
    func repeatSoon(_ times: Int = 0) {
        guard let options = world.plan.options.sessions else { return }
        let mine = roundNumber
        let pause = min(whim.time(options.retryNanoseconds) << UInt64(min(times, 12)), 3_000_000_000)
        world.scheduler.after(pause) { [self] in
            guard roundNumber == mine, world.isRunning else { return }
            repeatOpen()
            repeatSoon(times + 1)
        }
    }

    private func repeatOpen() {
        let open = round.filter { !$0.isOver && $0.place != nil && $0.correlation != nil }
        guard !open.isEmpty, let route = routes[cluster], !route.members.isEmpty else { return }
        let leader = route.members.first { $0.uid == route.leader }
        // Sometimes to any member, for it may lead by now.
        let target = whim.chance(perMille: 300) ? whim.pick(route.members) : leader ?? whim.pick(route.members)
        world.report.copies += open.count
        send(open, to: target.uid, over: connection(to: target.node))
    }

    /// Sends a command of which nothing is expected any more, as if an old packet came late.
    func sendGhost() {
        guard !ghosts.isEmpty, whim.chance(perMille: 250), let session = sessions[cluster], let route = routes[cluster],
            let leader = route.members.first(where: { $0.uid == route.leader })
        else { return }
        let ghost = whim.pick(ghosts)
        guard ghost.session.id == session.id, ghost.cluster == session.cluster else { return }
        world.report.ghosts += 1
        correlation += 1
        let number = correlation
        connection(to: leader.node).send { buffer in
            buffer.writeFrame(.commands) { buffer in
                let start = buffer.writerIndex
                CommandBatch.begin(target: leader.uid, into: &buffer)
                CommandBatch.append(correlation: number, into: &buffer) { $0.writeImmutableBuffer(ghost.body) }
                CommandBatch.setCount(1, from: start, in: &buffer)
            }
        }
    }

    /// A command is done with, as far as its client goes.
    func close(_ attempt: Attempt) {
        guard let place = attempt.place, sessions[cluster]?.id == place.id else { return }
        sessions[cluster]?.close(place)
        guard attempt.copies > 0, let session = sessions[cluster] else { return }
        ghosts.append(Ghost(session: place, cluster: session.cluster, body: attempt.body))
        if ghosts.count > 8 { ghosts.removeFirst() }
    }

    // MARK: The end

    /// A copy of a command was refused because its session is none any more.
    func expired(_ attempt: Attempt) {
        world.report.expiredSessions += 1
        if attempt.place?.id == sessions[cluster]?.id { sessions[cluster] = nil }
        if attempt.copies == 0 {
            // This was the only copy, so the command may have its effect in another session.
            attempt.place = nil
        } else {
            attempt.givenUp()
            world.givenUp(attempt)
        }
    }
}

/// A command that was sent, kept to be sent once more when nobody waits for it.
struct Ghost {
    var session: CommandPrefix.Session
    var cluster: ClusterID
    var body: ByteBuffer
}
