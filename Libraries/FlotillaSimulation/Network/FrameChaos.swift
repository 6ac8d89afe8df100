import FlotillaWire
import NIOCore

/// What happens to single messages between servers, beyond anything that TCP does: they are lost, come twice, or late.
///
/// Consensus promises to bear it, whatever carries its messages; the rest of the protocol between nodes relies on a
/// connection that keeps order and is left alone.
package struct FrameChaos: Equatable, Sendable {
    /// How many messages in a thousand are lost.
    package var lossPerMille = 0
    /// How many in a thousand come a second time, some time later.
    package var repeatPerMille = 0
    /// How many in a thousand are overtaken by later ones.
    package var latePerMille = 0
    /// How late, in nanoseconds.
    package var lateness: ClosedRange<UInt64> = 1_000_000...300_000_000

    /// No chaos.
    package init() {}

    var isCalm: Bool { lossPerMille == 0 && repeatPerMille == 0 && latePerMille == 0 }

    /// Whether messages of a type may be treated so.
    static func concerns(_ type: UInt8) -> Bool {
        type >= FrameType.appendEntries.rawValue && type <= FrameType.removed.rawValue
    }

    /// Takes the first whole frame off; `nil` when there is none.
    static func nextFrame(of buffer: inout ByteBuffer) -> (type: UInt8, bytes: ByteBuffer)? {
        guard let length: UInt32 = buffer.getInteger(at: buffer.readerIndex, endianness: .little),
            let type: UInt8 = buffer.getInteger(at: buffer.readerIndex + 4),
            let bytes = buffer.readSlice(length: Int(length) + 4)
        else { return nil }
        return (type, bytes)
    }
}
