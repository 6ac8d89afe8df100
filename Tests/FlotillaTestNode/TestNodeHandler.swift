import FlotillaWire
import NIOCore
import Synchronization

/// One connection of a `TestNode`.
final class TestNodeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let box: TestNode.StateBox
    private var rest = ByteBuffer()

    init(box: TestNode.StateBox) { self.box = box }

    private var node: TestNode? { box.node.withLock { $0 } }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        node?.state.withLock { $0.connections[ObjectIdentifier(channel)] = channel }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let channel = context.channel
        node?.state.withLock { $0.connections[ObjectIdentifier(channel)] = nil }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        rest.writeImmutableBuffer(unwrapInboundIn(data))
        while context.channel.isActive, let (header, body) = nextFrame() {
            do { try receive(header, body, context) } catch {
                context.close(promise: nil)
                return
            }
        }
        // What was handed out shares the memory: what is left moves to memory of its own before more is added.
        rest = ByteBuffer(bytes: rest.readableBytesView)
    }

    private func nextFrame() -> (FrameHeader, ByteBuffer)? {
        let header = rest.withUnsafeReadableBytes { bytes in
            try? FrameHeader.load(from: bytes, limit: Limits.frameBytes)
        }
        guard let header, rest.readableBytes >= header.frameLength else { return nil }
        rest.moveReaderIndex(forwardBy: FrameHeader.byteCount)
        return rest.readSlice(length: header.bodyLength).map { (header, $0) }
    }

    private func receive(_ header: FrameHeader, _ body: ByteBuffer, _ context: ChannelHandlerContext) throws {
        guard let node, let type = FrameType(rawValue: header.type) else { return }
        switch type {
        case .hello:
            greet(node, context)
        case .commands:
            let (target, items) = try Self.commands(body)
            perform(node.react(to: .commands(target: target, items: items)), header, context)
        case .queries:
            var items: [Received.Item] = []
            let (target, consistency) = try QueryBatch.decode(body) { correlation, query in
                items.append(Received.Item(correlation: correlation, body: query))
            }
            let received = Received.queries(target: target, consistency: consistency, items: items)
            perform(node.react(to: received), header, context)
        default:
            guard let request = try ClientRequest.decode(type, body: body) else { return }
            perform(node.react(to: .request(request)), header, context)
        }
    }

    private func greet(_ node: TestNode, _ context: ChannelHandlerContext) {
        let reactions = node.react(to: .hello)
        if !reactions.isEmpty {
            perform(reactions, FrameHeader(type: 0, bodyLength: 0, correlation: 0), context)
            return
        }
        var buffer = ByteBuffer()
        buffer.writeFrame(.welcome) { buffer in
            let number = UInt64(node.address.port)
            let identity = Hello.Node(
                id: NodeID(high: 7, low: number), name: node.name, incarnation: Incarnation(1), address: node.address)
            Hello(role: .server(identity)).encode(into: &buffer)
        }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func perform(_ reactions: [Reaction], _ header: FrameHeader, _ context: ChannelHandlerContext) {
        let channel = context.channel
        for reaction in reactions {
            switch reaction {
            case .bytes(let bytes): channel.writeAndFlush(bytes, promise: nil)
            case .respond(let response):
                channel.writeAndFlush(response.frame(header.correlation), promise: nil)
            case .hold(let response):
                let frame = response.frame(header.correlation)
                node?.hold { channel.writeAndFlush(frame, promise: nil) }
            case .close: channel.close(promise: nil)
            }
        }
    }

    private static func commands(_ body: ByteBuffer) throws(WireError) -> (ServerUID, [Received.Item]) {
        var reader = WireReader(body)
        let target: ServerUID = try reader.identifier()
        let count: UInt32 = try reader.integer()
        _ = try reader.integer(as: UInt32.self)
        var items: [Received.Item] = []
        for _ in 0..<count {
            let length: UInt32 = try reader.integer()
            let checksum: UInt32 = try reader.integer()
            let correlation: UInt64 = try reader.integer()
            let bytes = try reader.slice(Int(length))
            guard bytes.withUnsafeReadableBytes({ Checksum.crc32c($0) }) == checksum else {
                throw WireError(.checksum, "a command arrived damaged")
            }
            items.append(Received.Item(correlation: correlation, body: bytes))
        }
        return (target, items)
    }
}

extension ClientResponse {
    /// The response as a frame.
    public func frame(_ correlation: UInt64) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeFrame(frameType, correlation: correlation) { encodeBody(into: &$0) }
        return buffer
    }
}
