import FlotillaMachine
import FlotillaWire
import NIOCore

extension Queue {
    /// What changes a queue.
    public enum Command: WireCodable, Equatable {
        /// Adds a message. One whose key is among the latest 16,384 is there already and is not added. Answered by
        /// `enqueued` or `full`.
        case enqueue(ByteBuffer, key: ByteBuffer? = nil)
        /// Makes the sender's session a consumer that holds so many messages at most, or changes how many. Answered by
        /// `done` or `noSession`, as is whatever is below.
        case subscribe(prefetch: UInt32)
        /// The session consumes no more; what it holds goes to others.
        case unsubscribe
        /// Removes messages for good: those that the session holds, and those that nobody does.
        case settle([UInt64])
        /// Gives back messages that the session holds.
        case giveBack([UInt64])
        /// Makes messages dead letters: those that the session holds, and those that nobody does.
        case reject([UInt64])
        /// Sends the session anew what it holds.
        case resume
        /// Makes dead letters messages again, which may be delivered as often once more.
        case revive([UInt64])
        /// Removes dead letters for good.
        case drop([UInt64])
    }

    /// What a command's sender gets back.
    public enum Reply: WireCodable, Equatable {
        /// The message has this number; it is new, or was there under the same key.
        case enqueued(id: UInt64, isNew: Bool)
        /// Done, for so many of what was named.
        case done(count: Int)
        /// The queue takes no more messages.
        case full
        /// Only a client session can do this.
        case noSession
    }

    /// A message on its way to a consumer.
    public struct Delivery: WireCodable, Equatable, Sendable {
        /// The message's number.
        public var id: UInt64
        /// How often it has been delivered, this time included.
        public var count: UInt32
        /// The message.
        public var body: ByteBuffer

        /// A delivery of these parts.
        public init(id: UInt64, count: UInt32, body: ByteBuffer) {
            self.id = id
            self.count = count
            self.body = body
        }

        public func encode(into buffer: inout ByteBuffer) {
            buffer.writeLittle(id)
            buffer.writeLittle(count)
            buffer.writeBlock(body)
        }

        public init(from reader: inout WireReader) throws(WireError) {
            self.init(
                id: try reader.integer(), count: try reader.integer(),
                body: try reader.block(limit: Limits.commandBytesMax))
        }
    }

    /// What is sent to a consumer.
    public struct Deliveries: WireCodable, Equatable, Sendable {
        /// The messages, in order.
        public var list: [Delivery]
        /// These deliveries.
        public init(list: [Delivery]) { self.list = list }
        public func encode(into buffer: inout ByteBuffer) { buffer.writeList(list) { $1.encode(into: &$0) } }
        public init(from reader: inout WireReader) throws(WireError) {
            list = try reader.list(limit: Int(Settings.prefetchMax)) { (reader) throws(WireError) -> Delivery in
                try Delivery(from: &reader)
            }
        }
    }

    /// What reads a queue.
    public enum Query: WireCodable, Equatable {
        case status
        /// Messages that wait for a consumer, from behind a number on, at most so many (1,000, and 1 MiB, at most).
        case ready(after: UInt64, limit: UInt32)
        /// Dead letters, likewise.
        case dead(after: UInt64, limit: UInt32)
    }

    /// How much there is in a queue.
    public struct Status: Equatable, Sendable {
        /// Messages that wait for a consumer.
        public var ready: Int
        /// Messages that consumers hold.
        public var held: Int
        /// Dead letters.
        public var dead: Int
        /// Sessions that consume.
        public var consumers: Int
        /// Bytes of all messages.
        public var bytes: Int
    }

    /// What a query's sender gets back.
    public enum Answer: WireCodable, Equatable {
        case status(Status)
        case messages([Delivery])
    }
}

extension Queue.Command {
    /// A byte that says which command it is, in the order above from 1 on, and what belongs to it: the message as a
    /// block, and the key as another that may be empty for none; the prefetch in 4 bytes; numbers as a list.
    public func encode(into buffer: inout ByteBuffer) {
        func write(_ tag: UInt8, _ ids: [UInt64]) {
            buffer.writeLittle(tag)
            buffer.writeList(ids) { $0.writeLittle($1) }
        }
        switch self {
        case .enqueue(let body, let key):
            buffer.writeLittle(UInt8(1))
            buffer.writeBlock(body)
            buffer.writeBlock(key ?? ByteBuffer())
        case .subscribe(let prefetch):
            buffer.writeLittle(UInt8(2))
            buffer.writeLittle(prefetch)
        case .unsubscribe: buffer.writeLittle(UInt8(3))
        case .settle(let ids): write(4, ids)
        case .giveBack(let ids): write(5, ids)
        case .reject(let ids): write(6, ids)
        case .resume: buffer.writeLittle(UInt8(7))
        case .revive(let ids): write(8, ids)
        case .drop(let ids): write(9, ids)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case 1:
            let body = try reader.block(limit: Limits.commandBytesMax)
            let key = try reader.block(limit: Queue.Settings.keyBytes)
            self = .enqueue(body, key: key.readableBytes == 0 ? nil : key)
        case 2: self = .subscribe(prefetch: try reader.integer())
        case 3: self = .unsubscribe
        case 4: self = .settle(try reader.numbers())
        case 5: self = .giveBack(try reader.numbers())
        case 6: self = .reject(try reader.numbers())
        case 7: self = .resume
        case 8: self = .revive(try reader.numbers())
        case 9: self = .drop(try reader.numbers())
        case let tag: throw WireError(.malformed, "unknown command \(tag) of a queue")
        }
    }
}

extension Queue.Reply {
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .enqueued(let id, let isNew):
            buffer.writeLittle(UInt8(1))
            buffer.writeLittle(id)
            buffer.writeBool(isNew)
        case .done(let count):
            buffer.writeLittle(UInt8(2))
            buffer.writeLittle(UInt32(clamping: count))
        case .full: buffer.writeLittle(UInt8(3))
        case .noSession: buffer.writeLittle(UInt8(4))
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case 1: self = .enqueued(id: try reader.integer(), isNew: try reader.bool())
        case 2: self = .done(count: Int(try reader.integer(as: UInt32.self)))
        case 3: self = .full
        case 4: self = .noSession
        case let tag: throw WireError(.malformed, "unknown reply \(tag) of a queue")
        }
    }
}

extension Queue.Query {
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .status: buffer.writeLittle(UInt8(1))
        case .ready(let after, let limit), .dead(let after, let limit):
            if case .ready = self { buffer.writeLittle(UInt8(2)) } else { buffer.writeLittle(UInt8(3)) }
            buffer.writeLittle(after)
            buffer.writeLittle(limit)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case 1: self = .status
        case 2: self = .ready(after: try reader.integer(), limit: try reader.integer())
        case 3: self = .dead(after: try reader.integer(), limit: try reader.integer())
        case let tag: throw WireError(.malformed, "unknown query \(tag) of a queue")
        }
    }
}

extension Queue.Answer {
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .status(let status):
            buffer.writeLittle(UInt8(1))
            for number in [status.ready, status.held, status.dead, status.consumers, status.bytes] {
                buffer.writeLittle(UInt64(number))
            }
        case .messages(let messages):
            buffer.writeLittle(UInt8(2))
            Queue.Deliveries(list: messages).encode(into: &buffer)
        }
    }

    public init(from reader: inout WireReader) throws(WireError) {
        switch try reader.integer(as: UInt8.self) {
        case 1:
            self = .status(
                Queue.Status(
                    ready: try reader.count(), held: try reader.count(), dead: try reader.count(),
                    consumers: try reader.count(), bytes: try reader.count()))
        case 2: self = .messages(try Queue.Deliveries(from: &reader).list)
        case let tag: throw WireError(.malformed, "unknown answer \(tag) of a queue")
        }
    }
}

extension WireReader {
    /// Numbers of messages.
    fileprivate mutating func numbers() throws(WireError) -> [UInt64] {
        try list(limit: Int(Queue.Settings.prefetchMax)) { (reader) throws(WireError) -> UInt64 in
            try reader.integer()
        }
    }

    /// How many there are of something.
    fileprivate mutating func count() throws(WireError) -> Int {
        guard let count = Int(exactly: try integer(as: UInt64.self)) else {
            throw WireError(.limit, "more of something than can be counted")
        }
        return count
    }
}
