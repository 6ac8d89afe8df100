import FlotillaWire
import NIOCore

/// Any message of the protocol, so that one test can go through all of them.
enum Message: Equatable {
    case hello(Hello)
    case welcome(Hello)
    case peer(PeerMessage)
    case consensus(ConsensusMessage, ConsensusAddress, entries: ByteBuffer)
    case commands(target: ServerUID, [Item])
    case results(server: ServerUID, term: Term, [Result])
    case answers(server: ServerUID, term: Term, [Result])
    case rejections(Rejections)
    case events(SessionEvents)
    case queries(target: ServerUID, QueryConsistency, [Item])
    case request(ClientRequest)
    case response(ClientResponse)

    /// A command or a query.
    struct Item: Equatable {
        var correlation: UInt64
        var body: ByteBuffer
    }

    /// A result or an answer.
    struct Result: Equatable {
        var correlation: UInt64
        var index: LogIndex
        var reply: ByteBuffer
    }

    /// The whole frame.
    func frame(correlation: UInt64 = 0) -> ByteBuffer {
        var buffer = ByteBuffer()
        func write(_ type: FrameType, _ body: (inout ByteBuffer) -> Void) {
            buffer.writeFrame(type, correlation: correlation, body)
        }
        switch self {
        case .hello(let hello): write(.hello) { hello.encode(into: &$0) }
        case .welcome(let hello): write(.welcome) { hello.encode(into: &$0) }
        case .peer(let message): write(message.frameType) { message.encodeBody(into: &$0) }
        case .consensus(let message, let address, let entries):
            message.encodeFrame(to: address, entryBytes: entries.readableBytes, into: &buffer)
            buffer.writeImmutableBuffer(entries)
        case .commands(let target, let items): write(.commands) { Self.write(items, to: target, into: &$0) }
        case .results(let server, let term, let results):
            write(.results) { Self.write(results, by: server, term, into: &$0) }
        case .answers(let server, let term, let results):
            write(.answers) { Self.write(results, by: server, term, into: &$0) }
        case .rejections(let rejections): write(.rejections) { rejections.encode(into: &$0) }
        case .events(let events): write(.sessionEvents) { events.encode(into: &$0) }
        case .queries(let target, let consistency, let items):
            write(.queries) { Self.write(items, consistency, to: target, into: &$0) }
        case .request(let request): write(request.frameType) { request.encodeBody(into: &$0) }
        case .response(let response): write(response.frameType) { response.encodeBody(into: &$0) }
        }
        return buffer
    }

    private static func write(_ items: [Item], to target: ServerUID, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        CommandBatch.begin(target: target, into: &buffer)
        for item in items {
            let length = CommandBatch.append(correlation: item.correlation, into: &buffer) {
                $0.writeImmutableBuffer(item.body)
            }
            precondition(length == item.body.readableBytes)
        }
        CommandBatch.setCount(items.count, from: start, in: &buffer)
    }

    private static func write(
        _ results: [Result], by server: ServerUID, _ term: Term, into buffer: inout ByteBuffer
    ) {
        let start = buffer.writerIndex
        ResultBatch.begin(server: server, term: term, into: &buffer)
        for result in results {
            buffer.writeLittle(result.correlation)
            buffer.writeLittle(result.index.rawValue)
            buffer.writeBlock(result.reply)
        }
        ResultBatch.setCount(results.count, from: start, in: &buffer)
    }

    private static func write(
        _ items: [Item], _ consistency: QueryConsistency, to target: ServerUID, into buffer: inout ByteBuffer
    ) {
        let start = buffer.writerIndex
        QueryBatch.begin(target: target, consistency: consistency, into: &buffer)
        for item in items {
            QueryBatch.append(correlation: item.correlation, into: &buffer) { $0.writeImmutableBuffer(item.body) }
        }
        QueryBatch.setCount(items.count, from: start, in: &buffer)
    }
}
