import FlotillaConsensus
import FlotillaKernel
import FlotillaMachine
import FlotillaSimulation
import FlotillaWire
import NIOCore

/// The client of a test cluster: asks one thing after the other, and lets the world go on until it is answered.
final class TestCaller: ClientConnectionOwner {
    /// An answer, and the member that gave it.
    struct Answer {
        var bytes: ByteBuffer
        var index: LogIndex
        var member: Int
    }

    static let machineName = "machine"
    // A name of letters is one.
    static let clusterName = try! ClusterName("test")
    /// How much virtual time a call may take.
    private static let patience: UInt64 = 20_000_000_000

    private unowned let world: World
    private var connections: [Int: ClientConnection] = [:]
    private var correlation: UInt64 = 0
    private var results: [UInt64: (index: LogIndex, reply: ByteBuffer)] = [:]
    private var refusals: [UInt64: FlotillaError] = [:]
    private var responses: [UInt64: ClientResponse] = [:]
    private var events: [SessionID: [SessionEvents.Event]] = [:]
    private var sessions: [SessionID] = []

    init(_ world: World) { self.world = world }

    // MARK: Connections

    func received(_ type: FrameType, correlation: UInt64, body: ByteBuffer, on connection: ClientConnection) {
        do throws(WireError) {
            var reader = WireReader(body)
            switch type {
            case .results, .answers: _ = try ResultBatch.decode(body) { results[$0] = ($1, $2) }
            case .rejections:
                let rejections = try Rejections(from: &reader)
                for correlation in rejections.correlations { refusals[correlation] = rejections.error }
            case .sessionEvents:
                let told = try SessionEvents(from: &reader)
                events[told.session, default: []] += told.events
            default: responses[correlation] = try ClientResponse.decode(type, body: body)
            }
        } catch { preconditionFailure("a member sends what can't be read: \(error)") }
    }

    func ended(_ connection: ClientConnection) {
        if connections[connection.node] === connection { connections[connection.node] = nil }
    }

    private func connection(to member: Int) -> ClientConnection {
        if let connection = connections[member - 1] { return connection }
        let connection = ClientConnection(
            from: SimulatedNetwork.clientsStart, to: member - 1, owner: self, world: world)
        connections[member - 1] = connection
        return connection
    }

    // MARK: Time

    /// Why something did not come about.
    func failure(_ what: String) -> FlotillaError {
        if let violation = world.violation { return FlotillaError(.internalError, violation.description) }
        return FlotillaError(.noLeader, "the cluster does not \(what): \(world.stateOfClusters)")
    }

    func advance(_ nanoseconds: UInt64) throws(FlotillaError) {
        // Sessions live as long as the test does not end them, unless their members can't be told.
        let end = world.scheduler.now + nanoseconds
        while world.scheduler.now < end, world.violation == nil {
            keepSessions()
            pass(min(2_000_000_000, end - world.scheduler.now))
        }
        if world.violation != nil { throw failure("go on") }
    }

    /// Lets some time pass, whether anything happens in it or not.
    private func pass(_ nanoseconds: UInt64) {
        let end = world.scheduler.now + nanoseconds
        _ = world.advance(for: nanoseconds) { false }
        world.scheduler.skip(to: end)
    }

    private func wait(_ what: String, until holds: () -> Bool) throws(FlotillaError) {
        guard world.advance(for: Self.patience, until: holds) else { throw failure(what) }
    }

    // MARK: Leaders

    func leader() throws(FlotillaError) -> Int {
        var found: Int?
        try wait("have a leader") {
            found = server().map(\.member)
            return found != nil
        }
        return found ?? 0
    }

    /// The member that leads and may serve.
    private func server() -> (member: Int, uid: ServerUID)? {
        guard let leader = world.leader(of: 0), leader.server.core.readyToServe,
            leader.server.core.transferTarget == nil
        else { return nil }
        return (leader.host + 1, leader.server.uid)
    }

    private func uid(of member: Int) throws(FlotillaError) -> ServerUID {
        guard let server = world.servers(of: 0).first(where: { $0.host == member - 1 }) else {
            throw FlotillaError(.unreachable, "member \(member) does not run")
        }
        return server.server.uid
    }

    func transferLeadership(to member: Int) throws(FlotillaError) {
        let name = world.computers[member - 1].name
        let end = world.scheduler.now + Self.patience
        while case .error(let error) = try ask({ .transferLeadership($0, to: name, timeoutMilliseconds: 5_000) }),
            error.code != .alreadyLeader
        {
            // One that was just reached again has to catch up first.
            guard error.code == .notUpToDate || error.code == .transferring, world.scheduler.now < end else {
                throw error
            }
            pass(100_000_000)
        }
        try wait("follow member \(member)") { server()?.member == member }
    }

    // MARK: Asking

    /// Sends commands or queries to whoever leads until there is an answer.
    private func call(
        to member: Int? = nil, _ type: FrameType, _ write: (ServerUID, UInt64, inout ByteBuffer) -> Void
    ) throws(FlotillaError) -> Answer {
        let end = world.scheduler.now + Self.patience
        var last = FlotillaError(.noLeader, "nobody leads the cluster")
        while world.scheduler.now < end {
            let asked: Int
            if let member { asked = member } else { asked = try leader() }
            correlation += 1
            let number = correlation
            let uid = try uid(of: asked)
            connection(to: asked).send { buffer in buffer.writeFrame(type) { write(uid, number, &$0) } }
            keepSessions()
            _ = world.advance(for: 2_000_000_000) {
                results[number] != nil || refusals[number] != nil || connections[asked - 1] == nil
            }
            if let result = results.removeValue(forKey: number) {
                return Answer(bytes: result.reply, index: result.index, member: asked)
            }
            last = refusals.removeValue(forKey: number) ?? FlotillaError(.timeout, "member \(asked) does not answer")
            // Time passes also where nothing does, so that this ends.
            pass(20_000_000)
            let isPassing: Set<FlotillaError.Code> = [.notLeader, .noLeader, .transferring, .busy, .overwritten]
            if world.violation != nil { throw failure("go on") }
            if !isPassing.contains(last.code) { throw last }
        }
        throw last
    }

    func process(_ body: ByteBuffer) throws(FlotillaError) -> Answer {
        try call(.commands) { uid, number, buffer in
            let start = buffer.writerIndex
            CommandBatch.begin(target: uid, into: &buffer)
            CommandBatch.append(correlation: number, into: &buffer) { $0.writeImmutableBuffer(body) }
            CommandBatch.setCount(1, from: start, in: &buffer)
        }
    }

    func query(_ query: ByteBuffer, _ consistency: QueryConsistency, _ member: Int?) throws(FlotillaError) -> Answer {
        try call(to: member, .queries) { uid, number, buffer in
            let start = buffer.writerIndex
            QueryBatch.begin(target: uid, consistency: consistency, into: &buffer)
            QueryBatch.append(correlation: number, into: &buffer) { $0.writeImmutableBuffer(query) }
            QueryBatch.setCount(1, from: start, in: &buffer)
        }
    }

    /// Asks the leader something else.
    private func ask(_ request: (ServerUID) -> ClientRequest) throws(FlotillaError) -> ClientResponse {
        let leader = try leader()
        correlation += 1
        let number = correlation
        let request = request(try uid(of: leader))
        connection(to: leader).send { buffer in
            buffer.writeFrame(request.frameType, correlation: number) { request.encodeBody(into: &$0) }
        }
        try wait("answer") { responses[number] != nil }
        guard let response = responses.removeValue(forKey: number) else { throw failure("answer") }
        return response
    }

    // MARK: Sessions

    func openSession() throws(FlotillaError) -> SessionID {
        let response = try ask { .openSession($0, home: nil, timeoutMilliseconds: 5_000) }
        switch response {
        case .sessionOpened(let opened):
            sessions.append(SessionID(opened.id))
            return SessionID(opened.id)
        case .error(let error): throw error
        default: throw failure("begin a session")
        }
    }

    func endSession(_ session: SessionID) throws(FlotillaError) {
        let response = try ask { .endSessions($0, [session.rawValue]) }
        if case .error(let error) = response { throw error }
        sessions.removeAll { $0 == session }
        try wait("end session \(session)") {
            world.leader(of: 0).map { !$0.server.machine.sessions.contains(session.rawValue) } ?? false
        }
        // What a machine does about the end of a session comes behind it.
        pass(1_000_000_000)
    }

    /// Tells the leader that the sessions live, and where they are.
    private func keepSessions() {
        guard !sessions.isEmpty, let leader = server() else { return }
        correlation += 1
        let request = ClientRequest.keepSessions(leader.uid, sessions.map(\.rawValue))
        connection(to: leader.member).send { buffer in
            buffer.writeFrame(request.frameType, correlation: correlation) { request.encodeBody(into: &$0) }
        }
    }

    func takeEvents(of session: SessionID) -> [SessionEvents.Event] {
        // What was sent just now is on its way.
        pass(100_000_000)
        return events.removeValue(forKey: session) ?? []
    }
}
