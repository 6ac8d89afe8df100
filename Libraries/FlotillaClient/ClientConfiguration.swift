import FlotillaWire
import Logging
import NIOCore
import NIOPosix

/// How a client behaves; the defaults fit a cluster in one place.
public struct ClientConfiguration: Sendable {
    /// How long a call may take in all, redirects and repetitions included, unless the call says otherwise.
    public var timeout: Duration = .seconds(5)
    /// How long one attempt may take to open a connection and to be welcomed.
    public var connectTimeout: Duration = .seconds(2)
    /// The shortest pause before something is tried again. Every pause is drawn at random up to twice the one before.
    public var minimumBackOff: Duration = .milliseconds(20)
    /// The longest pause before something is tried again.
    public var maximumBackOff: Duration = .seconds(1)
    /// How many connections a node gets. More than one seldom helps: throughput falls with the number of sockets.
    public var connectionsPerNode = 1
    /// How many commands and queries may be open at a time, over all clusters.
    public var openCommands = Limits.openCommandsPerConnection
    /// How many bytes of commands and queries may be open at a time; a single one always may.
    public var openCommandBytes = Limits.openCommandBytesPerConnection
    /// Whether commands belong to a session of the cluster, in which each takes effect once however often it is sent,
    /// so that the client may send it again after a failure. Without, what was sent and not answered has an unknown
    /// outcome at once, and the first command to a cluster does not wait until a session has begun.
    public var exactlyOnce = true
    /// How long the leader of a cluster may leave everything unanswered until all nodes are asked whether another leads.
    public var suspicionTimeout: Duration = .seconds(1)
    /// Where the client's one event loop comes from.
    public var eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    /// Where connections and leaders that come and go are noted.
    public var logger = Logger(label: "flotilla.client", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The defaults.
    public init() {}

    /// Refuses settings that make no sense.
    func check() throws(FlotillaError) {
        guard timeout > .zero, connectTimeout > .zero, suspicionTimeout > .zero else {
            throw FlotillaError(.invalidArgument, "a timeout of the client is not positive")
        }
        guard minimumBackOff > .zero, minimumBackOff <= maximumBackOff else {
            throw FlotillaError(.invalidArgument, "the client's back-off is not a range above zero")
        }
        guard (1...64).contains(connectionsPerNode) else {
            throw FlotillaError(.invalidArgument, "\(connectionsPerNode) connections per node, 1 to 64 are possible")
        }
        guard openCommands > 0, openCommands <= Limits.followerWindowEntries, openCommandBytes > 0 else {
            throw FlotillaError(
                .invalidArgument, "a bound on open commands is not within 1 and \(Limits.followerWindowEntries)")
        }
    }
}

extension Duration {
    /// The same span for the event loop; spans that it can't express are cut to a century.
    var timeAmount: TimeAmount {
        let century: Int64 = 3_155_760_000
        let (seconds, attoseconds) = components
        guard seconds < century else { return .seconds(century) }
        return .nanoseconds(max(0, seconds) * 1_000_000_000 + max(0, attoseconds) / 1_000_000_000)
    }
}
