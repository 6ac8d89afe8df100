import NIOCore

/// Something that a node, a cluster or the client library refuses or could not do.
///
/// The code says what may be done about it: see `Code` for each. New codes may be added; treat one that you don't
/// know as you would `internalError`.
public struct FlotillaError: Error, Equatable, CustomStringConvertible {
    /// What went wrong, as a class.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The number on the wire.
        public let rawValue: UInt16
        /// A code by its number; unknown numbers are kept.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// The request makes no sense; repeating it will not help.
        public static let invalidArgument = Code(rawValue: 1)
        /// The node does not know this kind of request.
        public static let unsupported = Code(rawValue: 2)
        /// A command, a reply or a frame is longer than a limit.
        public static let tooLarge = Code(rawValue: 3)
        /// The server that was asked does not lead; nothing was appended.
        public static let notLeader = Code(rawValue: 4)
        /// No leader is known before the deadline; nothing was appended.
        public static let noLeader = Code(rawValue: 5)
        /// The server hands its leadership over; nothing was appended.
        public static let transferring = Code(rawValue: 6)
        /// No room at the moment; nothing was appended, try again later.
        public static let busy = Code(rawValue: 7)
        /// The node does not host this server.
        public static let unknownServer = Code(rawValue: 8)
        /// The node does not host a member of this cluster.
        public static let unknownCluster = Code(rawValue: 9)
        /// The name is in use by another cluster.
        public static let clusterExists = Code(rawValue: 10)
        /// No majority of the members could be started; what was started is deleted again.
        public static let clusterNotFormed = Code(rawValue: 11)
        /// The command was in the log of a leader that lost its place, and another entry stands there now: it will
        /// never be applied.
        public static let overwritten = Code(rawValue: 12)
        /// The command may be applied or not, now or later.
        public static let outcomeUnknown = Code(rawValue: 13)
        /// The deadline passed; nothing was changed by the request, or it was a query. A cluster that was being started
        /// is kept when a majority of it runs, and one that was to be deleted may still be.
        public static let timeout = Code(rawValue: 14)
        /// The state machine of that server has failed and applies nothing more. A command that was in the log by then
        /// may still be applied once the machine is mended: its outcome is unknown.
        public static let halted = Code(rawValue: 15)
        /// The server or the target is no voter.
        public static let nonVoter = Code(rawValue: 16)
        /// The named server is no member of the cluster.
        public static let unknownMember = Code(rawValue: 17)
        /// The target of a transfer could not catch up before the deadline.
        public static let notUpToDate = Code(rawValue: 18)
        /// No state machine of that name is registered at the node.
        public static let unknownMachine = Code(rawValue: 19)
        /// The node is stopping.
        public static let shuttingDown = Code(rawValue: 20)
        /// No node could be reached.
        public static let unreachable = Code(rawValue: 21)
        /// The connection was refused by the other side's rules (version, identity, name).
        public static let refused = Code(rawValue: 22)
        /// The state machine could not read the command or the query.
        public static let malformed = Code(rawValue: 23)
        /// A bug or a failure that has no code of its own.
        public static let internalError = Code(rawValue: 24)
        /// The server leads already.
        public static let alreadyLeader = Code(rawValue: 25)

        /// The cluster was deleted on that node, or is about to be; what was asked is never done.
        public static let deleted = Code(rawValue: 26)
        /// The members can't be changed at the moment: the change before is not committed, or the leader has only begun
        /// or is about to hand over. Nothing was appended; try again later.
        public static let clusterChangeNotPermitted = Code(rawValue: 27)
        /// The cluster has this member already, perhaps with a storage that is gone; that one must be removed first.
        public static let alreadyMember = Code(rawValue: 28)

        /// The cluster does not know the session of the command, or no more: it was silent for longer than its lease. The
        /// command was not applied by this entry; whether it was by an earlier copy, nobody can say any more.
        public static let sessionExpired = Code(rawValue: 29)
        /// The command was applied, once; what it replied is not known any more.
        public static let replyGone = Code(rawValue: 30)

        static let names: [String] = [
            "invalid_argument", "unsupported", "too_large", "not_leader", "no_leader", "transferring", "busy",
            "unknown_server", "unknown_cluster", "cluster_exists", "cluster_not_formed", "overwritten",
            "outcome_unknown", "timeout", "halted", "non_voter", "unknown_member", "not_up_to_date",
            "unknown_machine", "shutting_down", "unreachable", "refused", "malformed", "internal_error",
            "already_leader", "deleted", "cluster_change_not_permitted", "already_member", "session_expired",
            "reply_gone",
        ]

        /// The code's name in lower case, or its number.
        public var description: String {
            let position = Int(rawValue) - 1
            return Self.names.indices.contains(position) ? Self.names[position] : "error_\(rawValue)"
        }
    }

    /// The parts stand behind one reference: a `Result` with this error is then hardly larger than its success, which
    /// counts where results come by the million.
    private final class Parts: Sendable {
        let code: Code
        let message: String
        let leader: ServerID?

        init(code: Code, message: String, leader: ServerID?) {
            self.code = code
            self.message = message
            self.leader = leader
        }
    }

    private let parts: Parts

    /// What went wrong, as a class.
    public var code: Code { parts.code }
    /// What went wrong and where, for people.
    public var message: String { parts.message }
    /// Who leads, as far as the refuser knows.
    public var leader: ServerID? { parts.leader }

    /// An error of these parts.
    public init(_ code: Code, _ message: String, leader: ServerID? = nil) {
        parts = Parts(code: code, message: message, leader: leader)
    }

    /// Whether code, message and leader are the same.
    public static func == (left: FlotillaError, right: FlotillaError) -> Bool {
        left.code == right.code && left.message == right.message && left.leader == right.leader
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

extension FlotillaError: WireCodable {
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeLittle(code.rawValue)
        buffer.writeText(message, limit: Limits.errorMessageBytes)
        buffer.writeBool(leader != nil)
        if let leader { buffer.writeServerID(leader) }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        let code = Code(rawValue: try reader.integer())
        let message = try reader.string(limit: Limits.errorMessageBytes)
        self.init(code, message, leader: try reader.bool() ? try reader.serverID() : nil)
    }
}
