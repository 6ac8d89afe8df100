/// What the network has done, for the report.
package struct NetworkCounts: Equatable, Sendable {
    package var connections: UInt64 = 0
    package var closed: UInt64 = 0
    package var bytes: UInt64 = 0
    package var splits: UInt64 = 0
    package var retransmissions: UInt64 = 0
    package var resets: UInt64 = 0
    package var lostMessages: UInt64 = 0
    package var repeatedMessages: UInt64 = 0
    package var lateMessages: UInt64 = 0
}
