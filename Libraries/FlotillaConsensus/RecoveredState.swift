import FlotillaWire

/// What a server finds on disk when it starts; all of it is durable.
public struct RecoveredState: Sendable {
    /// The last term and vote.
    public var hardState: HardState
    /// The terms of the log.
    public var logTerms: LogTerms
    /// The configurations in the log, ascending by index. The first may be the one the server was made with, at
    /// index 0, or that of a snapshot.
    public var configurations: [(index: LogIndex, configuration: ClusterConfiguration)]
    /// The log is known to be committed through here, for instance because it was applied before.
    public var commitFloor: LogIndex
    /// Where in the log the entry stands that ends the cluster; `nil` when there is none.
    public var endIndex: LogIndex?

    /// A state of these parts.
    public init(
        hardState: HardState, logTerms: LogTerms,
        configurations: [(index: LogIndex, configuration: ClusterConfiguration)], commitFloor: LogIndex,
        endIndex: LogIndex? = nil
    ) {
        self.endIndex = endIndex
        self.hardState = hardState
        self.logTerms = logTerms
        self.configurations = configurations
        self.commitFloor = commitFloor
    }

    /// What a new server starts with: a configuration and nothing else.
    public static func fresh(_ configuration: ClusterConfiguration) -> RecoveredState {
        RecoveredState(
            hardState: .initial, logTerms: LogTerms(), configurations: [(index: .zero, configuration: configuration)],
            commitFloor: .zero)
    }

    /// What makes it impossible to start from this state; `nil` when nothing does. Whoever reads it from a disk asks
    /// before starting a server, since starting one with such a state is a programming error.
    public var inconsistency: String? {
        if hardState.term < logTerms.lastTerm {
            return "the log ends with term \(logTerms.lastTerm) but the last term on record is \(hardState.term)"
        }
        if commitFloor > logTerms.lastIndex {
            return "index \(commitFloor) was committed but the log ends at \(logTerms.lastIndex)"
        }
        for (earlier, later) in zip(configurations, configurations.dropFirst()) where earlier.index >= later.index {
            return "the configuration at \(later.index) stands behind the one at \(earlier.index)"
        }
        if let last = configurations.last, last.index > logTerms.lastIndex {
            return "a configuration at \(last.index) but the log ends at \(logTerms.lastIndex)"
        }
        if let endIndex, endIndex > logTerms.lastIndex || endIndex <= logTerms.baseIndex {
            return "the cluster ends at \(endIndex) but the log has \(logTerms)"
        }
        return nil
    }
}
