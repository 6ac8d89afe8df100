import FlotillaWire
import NIOCore

extension Message {
    /// Reads a whole frame; `nil` when it is cut short or its type is unknown.
    static func decode(frame: ByteBuffer) throws -> Message? {
        let header = try frame.withUnsafeReadableBytes { try FrameHeader.load(from: $0, limit: Limits.frameBytes) }
        guard let header, let type = FrameType(rawValue: header.type),
            let body = frame.getSlice(at: frame.readerIndex + FrameHeader.byteCount, length: header.bodyLength)
        else { return nil }
        return try decode(type, body: body)
    }

    /// Reads a frame's body with the decoder that its type asks for.
    static func decode(_ type: FrameType, body: ByteBuffer) throws(WireError) -> Message? {
        var reader = WireReader(body)
        switch type {
        case .hello: return .hello(try Hello(from: &reader))
        case .welcome: return .welcome(try Hello(from: &reader))
        case .commands: return try commands(body)
        case .results:
            let (server, term, results) = try results(body)
            return .results(server: server, term: term, results)
        case .answers:
            let (server, term, results) = try results(body)
            return .answers(server: server, term: term, results)
        case .rejections: return .rejections(try Rejections(from: &reader))
        case .sessionEvents: return .events(try SessionEvents(from: &reader))
        case .queries:
            var items: [Item] = []
            let (target, consistency) = try QueryBatch.decode(body) {
                items.append(Item(correlation: $0, body: $1))
            }
            return .queries(target: target, consistency, items)
        default: break
        }
        if let (message, address, rest) = try ConsensusMessage.decode(type, body: body) {
            let isAppend = type == .appendEntries
            return .consensus(message, address, entries: isAppend ? rest : ByteBuffer())
        }
        if let message = try PeerMessage.decode(type, body: body) { return .peer(message) }
        if let request = try ClientRequest.decode(type, body: body) { return .request(request) }
        return try ClientResponse.decode(type, body: body).map { .response($0) }
    }

    private static func results(_ body: ByteBuffer) throws(WireError) -> (ServerUID, Term, [Result]) {
        var results: [Result] = []
        let (server, term) = try ResultBatch.decode(body) {
            results.append(Result(correlation: $0, index: $1, reply: $2))
        }
        return (server, term, results)
    }

    /// The library has no decoder for commands: a leader reads them straight into its log. This one says what is in
    /// them.
    private static func commands(_ body: ByteBuffer) throws(WireError) -> Message {
        var reader = WireReader(body)
        let target: ServerUID = try reader.identifier()
        let count: UInt32 = try reader.integer()
        _ = try reader.integer(as: UInt32.self)
        var items: [Item] = []
        for _ in 0..<count {
            let length: UInt32 = try reader.integer()
            let checksum: UInt32 = try reader.integer()
            let correlation: UInt64 = try reader.integer()
            let body = try reader.slice(Int(length))
            guard body.withUnsafeReadableBytes({ Checksum.crc32c($0) }) == checksum else {
                throw WireError(.checksum, "command \(correlation)")
            }
            items.append(Item(correlation: correlation, body: body))
        }
        return .commands(target: target, items)
    }
}
