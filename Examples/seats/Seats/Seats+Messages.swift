import FlotillaMachine
import FlotillaWire
import NIOCore

/// What is said to the machine and by it, as it goes over the wire and stands in the log.
extension Seats {
    public enum Command: WireCodable, Equatable {
        case hold(String)
        case buy(String)
        case release(String)

        public func encode(into buffer: inout ByteBuffer) {
            let (tag, seat): (UInt8, String) =
                switch self {
                case .hold(let seat): (1, seat)
                case .buy(let seat): (2, seat)
                case .release(let seat): (3, seat)
                }
            buffer.writeLittle(tag)
            buffer.writeText(seat)
        }

        public init(from reader: inout WireReader) throws(WireError) {
            let tag: UInt8 = try reader.integer()
            let seat = try reader.string()
            switch tag {
            case 1: self = .hold(seat)
            case 2: self = .buy(seat)
            case 3: self = .release(seat)
            default: throw WireError(.malformed, "unknown command \(tag) about a seat")
            }
        }
    }

    public enum Reply: WireCodable, Equatable {
        case done
        case refused

        public func encode(into buffer: inout ByteBuffer) { buffer.writeBool(self == .done) }
        public init(from reader: inout WireReader) throws(WireError) { self = try reader.bool() ? .done : .refused }
    }

    public struct Query: WireCodable, Equatable {
        public var seat: String
        public init(seat: String) { self.seat = seat }
        public func encode(into buffer: inout ByteBuffer) { buffer.writeText(seat) }
        public init(from reader: inout WireReader) throws(WireError) { seat = try reader.string() }
    }

    public enum Answer: WireCodable, Equatable {
        case free
        case held(by: SessionID)
        case sold

        public func encode(into buffer: inout ByteBuffer) {
            switch self {
            case .free: buffer.writeLittle(UInt8(0))
            case .held(let session):
                buffer.writeLittle(UInt8(1))
                session.encode(into: &buffer)
            case .sold: buffer.writeLittle(UInt8(2))
            }
        }

        public init(from reader: inout WireReader) throws(WireError) {
            switch try reader.integer(as: UInt8.self) {
            case 0: self = .free
            case 1: self = .held(by: try SessionID(from: &reader))
            case 2: self = .sold
            case let tag: throw WireError(.malformed, "unknown answer \(tag) about a seat")
            }
        }
    }

    /// What is sent to somebody whose minute is over.
    public struct Expired: WireCodable, Equatable {
        public var seat: String
        public init(seat: String) { self.seat = seat }
        public func encode(into buffer: inout ByteBuffer) { buffer.writeText(seat) }
        public init(from reader: inout WireReader) throws(WireError) { seat = try reader.string() }
    }

    public typealias Message = Expired
}
