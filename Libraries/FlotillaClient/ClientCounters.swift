/// What a client has counted since it was made.
public struct ClientCounters: Sendable, Equatable {
    /// Commands and queries that were written to a connection, repetitions included.
    public var sent: UInt64 = 0
    /// Frames of commands and queries that were written.
    public var framesSent: UInt64 = 0
    /// Commands and queries that were answered.
    public var answered: UInt64 = 0
    /// Commands and queries that the client has sent again by itself.
    public var retries: UInt64 = 0
    /// Commands of which the client can't tell what became of them.
    public var unknowns: UInt64 = 0
    /// Commands and queries that a node refused for want of room; they were sent again after a pause.
    public var busyRejections: UInt64 = 0
    /// Answers to nothing that is open: late, or given twice.
    public var strayAnswers: UInt64 = 0
    /// Frames of a type that this version does not know, or that a node does not send to a client; they are skipped.
    public var unknownFrames: UInt64 = 0
    /// Sessions that were begun.
    public var sessionsOpened: UInt64 = 0
    /// Messages of clusters that were dropped because too many waited to be taken.
    public var droppedMessages: UInt64 = 0
    /// Connections that were welcomed.
    public var connectionsOpened: UInt64 = 0
    /// Connections that were lost or closed because of what came over them.
    public var connectionsLost: UInt64 = 0
}
