import FlotillaStorage
import FlotillaWire

/// Something that happened in the kernel and is worth a line in the log of the process.
public enum KernelEvent: Sendable, Equatable {
    case peerUp(NodeName, NodeAddress)
    case peerDown(NodeName, reason: String)
    case peerRefused(reason: String)
    case leaderChanged(ServerID, leader: ServerID?, term: Term)
    case serverStarted(ServerID, ClusterID)
    case serverDeleted(ServerID, ClusterID)
    /// A server of this node is not whole; its name is that which it was created with, if that is known.
    case serverLost(ServerUID, ServerID?, reason: String)
    case memberReplaced(ClusterName, NodeName)
    case machineHalted(ServerID, String)
    /// A damaged segment is being made good with entries of other members; it is whole again.
    case repairBegan(ServerID, segment: UInt64)
    case repairEnded(ServerID, entries: Int)
    /// Something of the server's files could not be read; that is tried again.
    case readFailed(ServerID, reason: String)
    case effectDropped(ServerID, reason: String)
    case memberRefused(ClusterName, NodeName, reason: String)
    case snapshotFailed(ServerID, String)
    /// The disk of the write-ahead log is too slow for leaders, and they hand over.
    case diskSlow(DiskReport)
    /// It is not any more. `longestWait` is the longest that nothing became durable meanwhile.
    case diskRecovered(after: Duration, longestWait: Duration)
}
