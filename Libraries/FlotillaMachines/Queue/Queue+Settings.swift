import FlotillaMachine
import FlotillaWire
import NIOCore

extension Queue {
    /// What a queue is started with.
    public struct Settings: WireCodable, Equatable {
        /// How often a message is delivered before it becomes a dead letter.
        public var deliveriesMax: UInt32 = 20
        /// How many messages there may be, dead letters included.
        public var messagesMax = 1_000_000
        /// How many bytes they may have together: all are in memory.
        public var bytesMax = 256 << 20

        /// How many keys of messages are remembered.
        static let keysKept = 16_384
        /// How many messages a consumer may hold.
        static let prefetchMax: UInt32 = 4_096
        /// How many messages a page of an answer has, and about how many bytes, as has what is sent at once.
        static let pageMax: UInt32 = 1_000
        static let messageBytes = 1 << 20
        /// How long a key may be.
        static let keyBytes = 255

        /// The defaults.
        public init() {}

        /// 4 bytes deliveries, 8 bytes messages, 8 bytes bytes.
        public func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(deliveriesMax)
            buffer.writeLittle(UInt64(messagesMax))
            buffer.writeLittle(UInt64(bytesMax))
        }

        public init(from reader: inout WireReader) throws(WireError) {
            deliveriesMax = try reader.integer()
            let (messages, bytes): (UInt64, UInt64) = (try reader.integer(), try reader.integer())
            guard deliveriesMax > 0, messages > 0, bytes > 0, messages < 1 << 40, bytes < 1 << 50 else {
                throw WireError(.limit, "a queue must take at least one message, and deliver it once")
            }
            (messagesMax, bytesMax) = (Int(messages), Int(bytes))
        }
    }
}
