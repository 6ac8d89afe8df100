import FlotillaKernel
import FlotillaMachine
import FlotillaSimulation
import FlotillaWire
import NIOCore

/// A cluster of a state machine in one process, for unit tests of the machine: without ports, files, threads or waiting.
///
/// ```swift
/// let cluster = try TestCluster(of: Bank.self)
/// #expect(try cluster.process(.deposit(5)) == 5)
/// cluster.stop(try cluster.leader)
/// #expect(try cluster.query(.balance) == 5)
/// ```
///
/// Behind it are the kernels, the consensus and the storage that run in a node, in the simulated world that Flotilla itself
/// is tested in. Time is virtual and stands still between calls: a call lets as much of it pass as it takes, and
/// `advance(by:)` lets timers fire. The same seed does the same each time.
///
/// Not thread-safe: it belongs to the test that has made it.
public final class TestCluster<Machine: StateMachine> {
    /// What became of a command.
    public struct Result {
        /// What the machine replied.
        public var reply: Machine.Reply
        /// Where in the log the command stands.
        public var index: LogIndex
        /// The member that answered.
        public var leader: Int
    }

    private let world: World
    private let caller: TestCaller
    private var serials: [SessionID: UInt64] = [:]

    /// Starts a cluster, and returns once it has a leader.
    ///
    /// - Parameters:
    ///   - members: how many members it has, 1 to 7. They are numbered from 1.
    ///   - settings: the machine's configuration in its own encoding.
    ///   - seed: of all that is random in the world: who leads first, how long messages take.
    /// - Throws: `FlotillaError` when the machine refuses its configuration.
    public init(
        of machine: Machine.Type = Machine.self, members: Int = 3, settings: ByteBuffer = ByteBuffer(), seed: UInt64 = 1
    ) throws(FlotillaError) {
        guard (1...7).contains(members) else {
            throw FlotillaError(.invalidArgument, "\(members) members, a test cluster has 1 to 7")
        }
        var registry = MachineRegistry()
        registry.register(machine, as: TestCaller.machineName)
        // What can't be made is told before any time passes.
        _ = try registry.makeMachine(
            named: TestCaller.machineName,
            configuration: MachineConfiguration(cluster: TestCaller.clusterName, settings: settings))
        var options = WorldOptions()
        options.nodes = members
        options.clusters = [
            WorldOptions.Cluster(
                name: TestCaller.clusterName.description, machine: TestCaller.machineName, members: Array(0..<members))
        ]
        options.clients = 0
        options.sessions = WorldOptions.Sessions(leaseMilliseconds: 10_000, retryNanoseconds: 1...1)
        world = World(Plan(seed: seed, options: options), machines: registry, settings: settings)
        caller = TestCaller(world)
        world.begin()
        guard world.awaitStart() else { throw caller.failure("start") }
    }

    deinit { world.finish() }

    // MARK: Commands and queries

    /// Has the cluster apply a command, and lets time pass until it is.
    ///
    /// - Parameter session: the session that it belongs to.
    /// - Throws: `FlotillaError` when there is no majority, the machine has failed, or the session has ended.
    @discardableResult
    public func process(
        _ command: Machine.Command, in session: SessionID? = nil
    ) throws(FlotillaError) -> Machine.Reply {
        try result(of: command, in: session).reply
    }

    /// The same with where the command stands, and who answered.
    public func result(
        of command: Machine.Command, in session: SessionID? = nil
    ) throws(FlotillaError) -> Result {
        var body = ByteBuffer()
        CommandPrefix(session: session.map { place(in: $0) }).encode(into: &body)
        command.encode(into: &body)
        let answer = try caller.process(body)
        return Result(
            reply: try read(answer.bytes), index: answer.index, leader: answer.member)
    }

    /// Commands are processed one at a time, so none is open but the one at hand.
    private func place(in session: SessionID) -> CommandPrefix.Session {
        let serial = (serials[session] ?? 0) + 1
        serials[session] = serial
        return CommandPrefix.Session(id: session.rawValue, serial: serial, lowestOpenSerial: serial)
    }

    /// Asks the machine something.
    ///
    /// - Parameters:
    ///   - consistency: how fresh the answer must be.
    ///   - member: who is asked, for a local query; the leader otherwise.
    public func query(
        _ query: Machine.Query, consistency: QueryConsistency = .consistent, of member: Int? = nil
    ) throws(FlotillaError) -> Machine.Answer {
        var bytes = ByteBuffer()
        query.encode(into: &bytes)
        return try read(try caller.query(bytes, consistency, member).bytes)
    }

    private func read<Value: WireCodable>(_ bytes: ByteBuffer) throws(FlotillaError) -> Value {
        do { return try Value(wholePiece: bytes) } catch {
            throw FlotillaError(.malformed, "what the machine says can't be read as \(Value.self): \(error)")
        }
    }

    // MARK: Sessions, messages, handlers

    /// Begins a client session.
    public func openSession() throws(FlotillaError) -> SessionID { try caller.openSession() }

    /// Ends a session, as a client does that is shut down.
    public func endSession(_ session: SessionID) throws(FlotillaError) { try caller.endSession(session) }

    /// Takes what the machine has sent to a session since the last call.
    public func takeMessages(to session: SessionID) throws(FlotillaError) -> [Machine.Message] {
        var messages: [Machine.Message] = []
        for event in caller.takeEvents(of: session) {
            if case .message(let bytes, _) = event { messages.append(try read(bytes)) }
        }
        return messages
    }

    /// Takes the handlers that the machine has wanted called since the last call.
    public func takeHandlerCalls() -> [HandlerCall] { world.takeCalls() }

    // MARK: Time

    /// Lets time pass: timers fire, leaders that are cut off step down, sessions that are not used end.
    public func advance(by duration: Duration) throws(FlotillaError) {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
        try caller.advance(nanoseconds)
    }

    // MARK: Members

    /// The numbers of all members.
    public var members: ClosedRange<Int> { 1...world.computers.count }

    /// The number of the member that leads, once one does.
    ///
    /// - Throws: `FlotillaError` with `noLeader` when none is elected within some time.
    public var leader: Int { get throws(FlotillaError) { try caller.leader() } }

    /// Has another member lead.
    public func transferLeadership(to member: Int) throws(FlotillaError) { try caller.transferLeadership(to: member) }

    /// Ends a member's process at once, as SIGKILL does; its disk is left as it is.
    public func stop(_ member: Int) { world.computers[member - 1].kill("the test stops it") }

    /// Starts a member that was stopped again, with what is on its disk.
    public func start(_ member: Int) { world.computers[member - 1].start() }

    /// Cuts a member off from all others; it goes on, and clients reach it still.
    public func isolate(_ member: Int) {
        for other in members where other != member {
            for (from, to) in [(member - 1, other - 1), (other - 1, member - 1)] where !world.network.isCut(from, to) {
                world.network.block(from: from, to: to)
            }
        }
    }

    /// Lets all members reach each other again.
    public func heal() {
        for from in 0..<world.computers.count {
            for to in 0..<world.computers.count where world.network.isCut(from, to) {
                world.network.unblock(from: from, to: to)
            }
        }
    }
}
