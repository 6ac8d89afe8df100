import FlotillaWire
import NIOCore

/// A client that asks one thing, or a burst of things, after the other: it looks for the leader, repeats what was
/// certainly not taken in, and gives up when its patience is over, as the SDK does.
final class SimulatedClient: ClientConnectionOwner {
    /// What it knows about a cluster.
    struct Route {
        var cluster: ClusterID
        var leader: ServerUID?
        var members: [(uid: ServerUID, node: Int)]
    }

    let number: Int
    unowned let world: World
    var random: Randomness
    /// What sessions do by chance, so that nothing else depends on them.
    var whim: Randomness
    var connections: [Int: ClientConnection] = [:]
    var routes: [Int: Route] = [:]
    var correlation: UInt64 = 0
    /// The attempts of the present round by their numbers, and those alone.
    var open: [UInt64: Attempt] = [:]
    var round: [Attempt] = []
    var roundNumber: UInt64 = 0
    var cluster = 0
    var wantsFollower = false
    /// The request for the leader that is out, and where.
    var locating: (correlation: UInt64, node: Int)?
    /// The request for a session that is out, and where.
    var opening: (correlation: UInt64, node: Int)?
    /// The sessions by the clusters' numbers.
    var sessions: [Int: SimulatedSession] = [:]
    var ghosts: [Ghost] = []
    /// What to ask next, before anything is drawn.
    var orders: [(cluster: Int, work: ClientWork, done: (Attempt) -> Void)] = []
    var orderDone: ((Attempt) -> Void)?
    var isResting = true

    init(number: Int, world: World) {
        self.number = number
        self.world = world
        random = .of("client", number, seed: world.plan.seed)
        whim = .of("sessions of a client", number, seed: world.plan.seed)
    }

    var host: Int { SimulatedNetwork.clientsStart + number }

    /// How long a client rests once the history holds enough for one judgement.
    private static let longRest: ClosedRange<UInt64> = 100_000_000...600_000_000

    // MARK: Rounds

    /// Begins to work.
    func start() {
        rest()
        keepSessions()
    }

    /// Asks something at the next opportunity; `done` gets what became of it.
    func order(_ work: ClientWork, of cluster: Int, done: @escaping (Attempt) -> Void) {
        orders.append((cluster, work, done))
    }

    func rest() {
        isResting = true
        let rest = world.isRich ? Self.longRest : world.plan.options.restNanoseconds
        world.scheduler.after(random.time(rest)) { [self] in begin() }
    }

    func begin() {
        guard world.isRunning else { return }
        guard let works = nextWorks() else { return rest() }
        isResting = false
        roundNumber += 1
        wantsFollower = random.chance(perMille: 400)
        round = works.map { work in
            Attempt(client: number, cluster: cluster, work: work, invoked: world.scheduler.now)
        }
        for attempt in round { world.invoked(attempt) }
        let mine = roundNumber
        world.scheduler.after(world.plan.options.patienceNanoseconds) { [self] in impatient(mine) }
        sendGhost()
        pursue()
        repeatSoon()
    }

    func nextWorks() -> [ClientWork]? {
        orderDone = nil
        if !orders.isEmpty {
            let order = orders.removeFirst()
            cluster = order.cluster
            orderDone = order.done
            return [order.work]
        }
        guard world.wantsWork else { return nil }
        cluster = random.number(0...(world.plan.options.clusters.count - 1))
        let machine = world.plan.options.clusters[cluster].machine
        let count = random.number(1...world.plan.options.burst)
        let works = (0..<count).map { _ in world.drawer.draw(for: machine, cluster: cluster, progress: world.progress) }
        // One frame holds commands or queries, not both.
        return works.filter { $0.isQuery == works[0].isQuery }
    }

    /// The patience of a round is over.
    func impatient(_ number: UInt64) {
        guard number == roundNumber, !isResting else { return }
        let isStuck = !open.isEmpty
        for attempt in round where !attempt.isOver {
            attempt.givenUp()
            world.givenUp(attempt)
            close(attempt)
        }
        // What was silent may stay so: the next round looks for the leader again.
        routes[cluster] = nil
        if let locating { connections.removeValue(forKey: locating.node)?.close() }
        if let opening { connections.removeValue(forKey: opening.node)?.close() }
        if isStuck, random.chance(perMille: 500) { closeAll() }
        endRound()
    }

    func endRound() {
        open.removeAll()
        locating = nil
        opening = nil
        if let attempt = round.first { orderDone?(attempt) }
        orderDone = nil
        round = []
        rest()
    }

    // MARK: Sending

    /// Sends what is not on its way and not answered.
    func pursue() {
        guard !isResting, world.isRunning else { return }
        let waiting = round.filter { !$0.isOver && $0.correlation == nil }
        guard !waiting.isEmpty else { return }
        guard let route = routes[cluster], let target = target(in: route, isQuery: waiting[0].work.isQuery) else {
            return locate()
        }
        guard waiting[0].work.isQuery || hasSession(at: target) else { return }
        let part = partToSend(of: waiting)
        send(part, to: target.uid, over: connection(to: target.node))
        if part.count < waiting.count { pursueSoon() }
    }

    func target(in route: Route, isQuery: Bool) -> (uid: ServerUID, node: Int)? {
        if isQuery, wantsFollower, !route.members.isEmpty { return random.pick(route.members) }
        return route.members.first { $0.uid == route.leader }
    }

    func connection(to node: Int) -> ClientConnection {
        if let connection = connections[node] { return connection }
        let connection = ClientConnection(from: host, to: node, owner: self, world: world)
        connections[node] = connection
        return connection
    }

    func send(_ attempts: [Attempt], to server: ServerUID, over connection: ClientConnection) {
        for attempt in attempts {
            correlation += 1
            attempt.correlation = correlation
            attempt.copies += 1
            open[correlation] = attempt
            if !attempt.work.isQuery, attempt.body.readableBytes == 0 || attempt.place == nil { seal(attempt) }
        }
        connection.send { buffer in
            if attempts[0].work.isQuery {
                buffer.writeFrame(.queries) { Self.write(queries: attempts, to: server, into: &$0) }
            } else {
                buffer.writeFrame(.commands) { Self.write(commands: attempts, to: server, into: &$0) }
            }
        }
        sentTo = connection.node
    }

    var sentTo = -1

    /// Makes the bytes that every copy of a command has.
    private func seal(_ attempt: Attempt) {
        attempt.place = sessions[cluster] != nil ? sessions[cluster]?.take() : nil
        attempt.body = ByteBuffer()
        CommandPrefix(session: attempt.place).encode(into: &attempt.body)
        attempt.work.encode(into: &attempt.body)
        attempt.checksum = attempt.body.withUnsafeReadableBytes { Checksum.crc32c($0) }
    }

    private static func write(queries attempts: [Attempt], to server: ServerUID, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        QueryBatch.begin(target: server, consistency: .consistent, into: &buffer)
        for attempt in attempts {
            QueryBatch.append(correlation: attempt.correlation ?? 0, into: &buffer) { attempt.work.encode(into: &$0) }
        }
        QueryBatch.setCount(attempts.count, from: start, in: &buffer)
    }

    private static func write(commands attempts: [Attempt], to server: ServerUID, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        CommandBatch.begin(target: server, into: &buffer)
        for attempt in attempts {
            CommandBatch.append(correlation: attempt.correlation ?? 0, into: &buffer) {
                $0.writeImmutableBuffer(attempt.body)
            }
        }
        CommandBatch.setCount(attempts.count, from: start, in: &buffer)
    }

    /// Asks some node where the leader is.
    func locate() {
        guard locating == nil else { return }
        correlation += 1
        let node = random.number(0...(world.computers.count - 1))
        let number = correlation
        locating = (number, node)
        let request = ClientRequest.locate(
            cluster: world.name(of: cluster), waits: random.chance(perMille: 700), timeoutMilliseconds: 500)
        ask(request, as: number, of: node)
        world.scheduler.after(800_000_000) { [self] in
            guard locating?.correlation == number else { return }
            locating = nil
            // Whoever does not even say that it knows no leader may be gone without a word.
            connections.removeValue(forKey: node)?.close()
            pursue()
        }
    }

    func pursueSoon() {
        let mine = roundNumber
        world.scheduler.after(random.time(1_000_000...40_000_000)) { [self] in
            guard roundNumber == mine else { return }
            pursue()
        }
    }

    func closeAll() {
        for node in connections.keys.sorted() { connections[node]?.close() }
        connections.removeAll()
    }
}
