import DequeModule
import NIOCore

/// Whoever holds an end of a connection: a process of a node, or a client.
package protocol Party: AnyObject {
    /// Whether it has come to its end and takes nothing any more.
    var isGone: Bool { get }
    /// Bytes have arrived, in order, cut anywhere.
    func received(_ bytes: ByteBuffer, on end: ConnectionEnd)
    /// The connection is gone.
    func closed(_ end: ConnectionEnd, reason: String)
}

/// One end of a connection, with what is on its way to it.
package final class ConnectionEnd {
    /// What travels towards an end.
    enum Cargo {
        case bytes(ByteBuffer)
        /// The other side has closed; nothing comes behind it.
        case end(reason: String)
    }

    /// The number of the host that the end is on.
    package let host: Int
    /// Tells connections apart, in the order in which they were made.
    package let number: UInt64
    /// Who holds it; `nil` once it was closed or its holder has vanished.
    package internal(set) var party: (any Party)?
    /// Tells ends apart; no two have the same.
    package let key: UInt64

    /// The end at the other side; the two let go of each other when both are closed.
    var other: ConnectionEnd?
    /// Whether this side may still send and receive.
    var isOpen = true
    var arriving: Deque<(time: UInt64, cargo: Cargo)> = []
    /// Whether the arrival of the first is planned.
    var isPlanned = false
    /// When what was sent last arrives; what is sent next comes no earlier.
    var lastArrival: UInt64 = 0

    init(host: Int, number: UInt64, isDialler: Bool, party: any Party) {
        self.host = host
        self.number = number
        key = number * 2 + (isDialler ? 1 : 0)
        self.party = party
    }

    /// The host at the other side.
    package var peerHost: Int? { other?.host }
}
