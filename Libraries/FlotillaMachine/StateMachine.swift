import FlotillaWire
import NIOCore

/// A state machine that a cluster replicates: a value that changes only by commands, the same on every member.
///
/// ```swift
/// struct Adder: StateMachine {
///     var sum: Int64 = 0
///     init(configuration: MachineConfiguration) {}
///     mutating func apply(_ command: Int64, at context: ApplyContext, effects: inout Effects) -> Int64 {
///         sum &+= command
///         return sum
///     }
///     func answer(_ query: Nothing, at context: QueryContext) -> Int64 { sum }
/// }
/// ```
///
/// Everything in `apply` must be deterministic: no clock (use `context.time`), no randomness, no iteration over a
/// `Dictionary` or a `Set` whose order could show in the state, a reply or an effect.
///
/// A machine whose value is small makes its log one that can be cut by being `WireCodable`: its snapshot is then its
/// encoding. One with a large state implements `snapshot` and `restore`.
public protocol StateMachine: Sendable {
    /// What changes the state.
    associatedtype Command: WireCodable
    /// What a command's sender gets back.
    associatedtype Reply: WireCodable
    /// What reads the state.
    associatedtype Query: WireCodable
    /// What a query's sender gets back.
    associatedtype Answer: WireCodable
    /// What the machine sends to client sessions.
    associatedtype Message: WireCodable = Nothing
    /// What each member has of its own beside the state: neither replicated nor kept over a restart.
    associatedtype Aux: Sendable = Nothing
    /// What is told to that.
    associatedtype AuxCommand: WireCodable = Nothing
    /// What it answers.
    associatedtype AuxReply: WireCodable = Nothing

    /// The versions that this code can run, lowest to highest.
    static var versions: ClosedRange<MachineVersion> { get }

    /// The state before the first command.
    ///
    /// - Throws: when the configuration makes no sense; the cluster is not started then.
    init(configuration: MachineConfiguration) throws

    /// Reads a command, as it is to be understood by a cluster that runs a version of the machine. By default every
    /// command is read that `Command` can read.
    ///
    /// Newer code may know commands that older code does not. While their cluster runs the old version, all members must
    /// agree that these can't be read, so code that knows them refuses them below the version that they came with.
    ///
    /// - Throws: `WireError` when it can't be read. It changes nothing then, and its sender is told.
    static func readCommand(from reader: inout WireReader, at version: MachineVersion) throws(WireError) -> Command

    /// Applies one committed command. Called in the order of the log, once for each command.
    ///
    /// - Throws: when the machine can't go on. The server then halts at this entry and says so; the other servers of
    ///   the node are not touched. A command that is merely refused is a reply, not an error.
    mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) throws -> Reply

    /// Takes note of something that the log tells beside commands: what the machine watches, its timers, another
    /// version. As deterministic as `apply`. Does nothing by default.
    ///
    /// - Throws: as `apply`.
    mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) throws

    /// Is told what its server has become. Not part of what is replicated: it changes nothing, and wants things done.
    /// Does nothing by default.
    func entered(_ role: MachineRole, effects: inout Effects)

    /// Is told now and then, each second by default, on the leader only, and wants things done. Does nothing by default.
    func tick(at time: LeaderTime, effects: inout Effects)

    /// Is told that this state, of a snapshot that another member has sent, has taken the place of an older one.
    /// Effects that every member acts on are carried out. Does nothing by default.
    ///
    /// - Parameters:
    ///   - index: the last index that the snapshot holds.
    ///   - old: the state before.
    func snapshotInstalled(at index: LogIndex, replacing old: Self, effects: inout Effects)

    /// What a member has of its own, when its server starts.
    static func makeAux(configuration: MachineConfiguration) -> Aux

    /// Tells a member's own part of the machine something.
    ///
    /// - Returns: what a caller gets; `nil`, which is the default, when the machine has no such part.
    func handle(
        _ event: AuxEvent<AuxCommand>, aux: inout Aux, at context: AuxContext, effects: inout Effects
    ) -> AuxReply?

    /// Answers a query from the state as it is.
    ///
    /// It is called by `lookUp` where the machine leaves that to its default, and by nothing else.
    func answer(_ query: Query, at context: QueryContext) -> Answer

    /// Answers a query from the state as it is, or says which commands of the log it needs for that.
    ///
    /// By default the query is answered by `answer`. A machine that keeps only the indexes of large things, and leaves
    /// the things in the log, answers here, and names those indexes as live in its snapshots.
    func lookUp(_ query: Query, at context: QueryContext) -> QueryOutcome<Answer>

    /// What the overview shows of the state.
    var overview: [NamedValue] { get }

    /// Freezes the state, so that it is written down on another thread while commands go on.
    ///
    /// The call itself must take no longer for a large state than for a small one: it copies the value, and the pieces
    /// are made of the copy one by one as they are pulled. Equal states must give equal pieces.
    ///
    /// - Returns: `nil`, which is the default, when the machine knows no snapshots. The log of its clusters is then
    ///   never cut: every restart applies all of it again, and a new member is sent all of it.
    func snapshot() -> StateSnapshot?

    /// Takes the next piece of a snapshot. Called on a machine in its first state for each piece, in order.
    ///
    /// The pieces come from a disk or from another node, so every length is checked before it is used.
    ///
    /// - Throws: `WireError` when the piece can't be one, or can't follow the one before. The machine is then dropped.
    mutating func restore(_ piece: ByteBuffer) throws(WireError)

    /// Ends the restoring: from here on the machine applies the commands behind the snapshot. Does nothing by default.
    ///
    /// - Throws: `WireError` when pieces are missing. The machine is then dropped.
    mutating func finishRestore() throws(WireError)

    /// Applies a run of committed entries, as `HostedMachine.apply` says.
    ///
    /// No machine implements this itself. It is a requirement so that the compiler makes the loop over the entries
    /// anew for each machine, with its types filled in; shared by all machines it takes four times as long.
    mutating func applyRun(
        _ entries: ByteBuffer, version: inout MachineVersion, sessions: inout SessionTable, replies: inout Replies?,
        effects: inout Effects
    ) throws(MachineFailure) -> (index: LogIndex, term: Term)

    /// Answers an encoded query, as `HostedMachine.answer` says. No machine implements this itself, and it is a
    /// requirement for the same reason.
    func answerQuery(
        _ query: ByteBuffer, at context: QueryContext, into buffer: inout ByteBuffer
    ) throws(WireError) -> PendingRead?
}

extension StateMachine {
    /// One version, numbered 0.
    public static var versions: ClosedRange<MachineVersion> { 0...0 }
    /// Nothing.
    public var overview: [NamedValue] { [] }
    /// What `Command` can read.
    @inlinable
    public static func readCommand(
        from reader: inout WireReader, at version: MachineVersion
    ) throws(WireError) -> Command { try Command(from: &reader) }
    /// Nothing.
    @inlinable
    public mutating func handle(_ event: MachineEvent, at context: ApplyContext, effects: inout Effects) throws {}
    /// Nothing.
    public func entered(_ role: MachineRole, effects: inout Effects) {}
    /// Nothing.
    public func tick(at time: LeaderTime, effects: inout Effects) {}
    /// Nothing.
    public func snapshotInstalled(at index: LogIndex, replacing old: Self, effects: inout Effects) {}
    /// Nothing.
    public func handle(
        _ event: AuxEvent<AuxCommand>, aux: inout Aux, at context: AuxContext, effects: inout Effects
    ) -> AuxReply? { nil }
    /// What `answer` says.
    @inlinable
    public func lookUp(_ query: Query, at context: QueryContext) -> QueryOutcome<Answer> {
        .answer(answer(query, at: context))
    }
    /// None.
    public func snapshot() -> StateSnapshot? { nil }
    /// Refuses every piece, as it fits a machine that knows no snapshots.
    public mutating func restore(_ piece: ByteBuffer) throws(WireError) {
        throw WireError(.malformed, "the machine knows no snapshots")
    }
    /// Nothing.
    public mutating func finishRestore() throws(WireError) {}
}

extension StateMachine where Aux == Nothing {
    /// Nothing.
    public static func makeAux(configuration: MachineConfiguration) -> Nothing { Nothing() }
}

/// What a machine is started with: bytes that whoever starts the cluster chose, the same on every member.
public struct MachineConfiguration: Sendable {
    /// The cluster's name.
    public var cluster: ClusterName
    /// The machine's own settings in its own encoding; empty by default.
    public var settings: ByteBuffer

    /// A configuration of these parts.
    public init(cluster: ClusterName, settings: ByteBuffer = ByteBuffer()) {
        self.cluster = cluster
        self.settings = settings
    }
}

/// A leader's clock at the moment when it made an entry; never earlier than that of the entry before.
public struct LeaderTime: Hashable, Comparable, Sendable {
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    public var nanosecondsSince1970: UInt64
    /// A time.
    @inlinable public init(nanosecondsSince1970: UInt64) { self.nanosecondsSince1970 = nanosecondsSince1970 }
    /// Orders by time.
    @inlinable public static func < (left: LeaderTime, right: LeaderTime) -> Bool {
        left.nanosecondsSince1970 < right.nanosecondsSince1970
    }
}

/// Where in the log a command stands.
public struct ApplyContext: Sendable {
    /// Its index.
    public var index: LogIndex
    /// The term of the leader that appended it.
    public var term: Term
    /// That leader's clock when it did.
    public var time: LeaderTime
    /// The machine version that is effective at this entry.
    public var machineVersion: MachineVersion
    /// The client session that the command belongs to.
    public var session: SessionID?

    /// A context of these parts.
    @inlinable
    public init(
        index: LogIndex, term: Term, time: LeaderTime, machineVersion: MachineVersion, session: SessionID? = nil
    ) {
        self.index = index
        self.term = term
        self.time = time
        self.machineVersion = machineVersion
        self.session = session
    }
}

/// Up to where in the log the state goes from which a query is answered.
public struct QueryContext: Sendable {
    /// The last applied index.
    public var index: LogIndex
    /// The term of the entry there.
    public var term: Term
    /// The machine version that is effective there.
    public var machineVersion: MachineVersion

    /// A context of these parts.
    @inlinable
    public init(index: LogIndex, term: Term, machineVersion: MachineVersion) {
        self.index = index
        self.term = term
        self.machineVersion = machineVersion
    }
}

/// A command, reply, query or answer that says nothing.
public struct Nothing: WireCodable, Hashable {
    /// The only value.
    public init() {}
    public init(from reader: inout WireReader) throws(WireError) {}
    public func encode(into buffer: inout ByteBuffer) {}
}

extension Int64: WireCodable {
    public func encode(into buffer: inout ByteBuffer) { buffer.writeLittle(self) }
    public init(from reader: inout WireReader) throws(WireError) { self = try reader.integer() }
}
