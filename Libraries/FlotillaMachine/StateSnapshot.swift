import FlotillaWire
import NIOCore

/// The frozen state of a machine, to be written down on another thread while the machine goes on.
///
/// It holds on to a copy of the state for as long as it lives, so it is let go of as soon as it is written.
public struct StateSnapshot: Sendable {
    /// About how many bytes a piece should have: large enough to be worth a write, small enough to wait for.
    public static let pieceBytes = 256 << 10

    /// Gives the pieces of the encoded state one after the other, and `nil` once there is no more. They go through
    /// once, on any thread, but each call must have ended before the next begins.
    ///
    /// - Throws: when the state can't be encoded. The snapshot is then of no use.
    public let next: @Sendable () throws -> ByteBuffer?
    /// Finds the entries that the frozen state needs of the log. It may take its time.
    public let liveIndexes: @Sendable () -> LiveIndexes

    /// A snapshot whose pieces `next` makes. What it must remember from one piece to the next is in its argument, which
    /// is `start` at first.
    ///
    /// - Parameter liveIndexes: the entries that the frozen state needs of the log; none by default.
    public init<Position: Sendable>(
        from start: Position, _ next: @escaping @Sendable (inout Position) throws -> ByteBuffer?,
        liveIndexes: @escaping @Sendable () -> LiveIndexes = { LiveIndexes() }
    ) {
        let cursor = Cursor(start)
        self.next = { try next(&cursor.position) }
        self.liveIndexes = liveIndexes
    }

    /// A snapshot of a small state, which is encoded as one piece and needs nothing of the log.
    public init(of state: some WireCodable) {
        self.init(from: false) { isDone in
            guard !isDone else { return nil }
            isDone = true
            var piece = ByteBuffer()
            state.encode(into: &piece)
            return piece
        }
    }

    /// Where a snapshot stands in its pieces.
    ///
    /// Unchecked, because only `next` touches it, whose calls follow one another, as it says.
    private final class Cursor<Position: Sendable>: @unchecked Sendable {
        var position: Position
        init(_ start: Position) { position = start }
    }
}

extension WireCodable {
    /// The value that is all there is in a piece of a snapshot.
    ///
    /// - Throws: `WireError` when the piece does not hold exactly one.
    public init(wholePiece piece: ByteBuffer) throws(WireError) {
        var reader = WireReader(piece)
        try self.init(from: &reader)
        guard reader.remaining == 0 else {
            throw WireError(.malformed, "\(reader.remaining) bytes behind the state")
        }
    }
}

extension StateMachine where Self: WireCodable {
    /// The whole state as one piece.
    public func snapshot() -> StateSnapshot? { StateSnapshot(of: self) }

    /// Becomes the state that a piece holds.
    public mutating func restore(_ piece: ByteBuffer) throws(WireError) { self = try Self(wholePiece: piece) }
}
