import FlotillaMachine
import FlotillaWire
import NIOCore

/// A single number. It does next to nothing, which makes it the machine to measure everything else with.
public struct Counter: StateMachine {
    /// Adds to the number.
    public struct Command: WireCodable, Equatable {
        /// How much to add; the number wraps around.
        public var amount: Int64
        /// Bytes that the machine ignores, so that commands can be as long as one likes.
        public var annotation: ByteBuffer

        /// A command of these parts.
        public init(amount: Int64, annotation: ByteBuffer = ByteBuffer()) {
            self.amount = amount
            self.annotation = annotation
        }

        /// 8 bytes of amount; the annotation is all that follows.
        public func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(amount)
            buffer.writeImmutableBuffer(annotation)
        }

        public init(from reader: inout WireReader) throws(WireError) {
            let amount: Int64 = try reader.integer()
            self.init(amount: amount, annotation: try reader.slice(reader.remaining))
        }
    }

    private var value: Int64 = 0

    /// Zero.
    public init() {}

    /// Zero; nothing about the machine can be configured.
    public init(configuration: MachineConfiguration) {}

    /// Adds, and replies with the new number.
    public mutating func apply(_ command: Command, at context: ApplyContext, effects: inout Effects) -> Int64 {
        value &+= command.amount
        return value
    }

    /// The number.
    public func answer(_ query: Nothing, at context: QueryContext) -> Int64 { value }

    /// The number.
    public func snapshot() -> StateSnapshot? { StateSnapshot(of: value) }

    public mutating func restore(_ piece: ByteBuffer) throws(WireError) { value = try Int64(wholePiece: piece) }
}
