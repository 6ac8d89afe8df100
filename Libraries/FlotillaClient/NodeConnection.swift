import FlotillaWire
import NIOCore

/// What a connection tells the client.
protocol NodeConnectionDelegate: AnyObject {
    func connection(_ connection: NodeConnection, welcomedBy node: Hello.Node)
    func connection(_ connection: NodeConnection, received header: FrameHeader, body: ByteBuffer) throws(WireError)
    func connectionReadComplete(_ connection: NodeConnection)
    func connectionBecameWritable(_ connection: NodeConnection)
    func connectionClosed(_ connection: NodeConnection, error: FlotillaError)
}

/// One connection to a node, from its hello to its end. Confined to the client's event loop.
final class NodeConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Tells connections of a client apart.
    let number: Int
    private let clientNumber: UInt64
    private let welcomeTime: TimeAmount
    private weak var delegate: (any NodeConnectionDelegate)?
    private var context: ChannelHandlerContext?
    private var frames = FrameAccumulator(limit: Limits.frameBytesBeforeHello)
    private var welcomeTimer: Scheduled<Void>?
    private var failure: FlotillaError?
    private var isReported = false
    /// Who welcomed the client; `nil` before.
    private(set) var node: Hello.Node?
    /// The requests that wait for an answer.
    var requests: [UInt64: PendingRequest] = [:]
    private var nextCorrelation: UInt64 = 1

    init(number: Int, clientNumber: UInt64, welcomeTime: TimeAmount, delegate: any NodeConnectionDelegate) {
        self.number = number
        self.clientNumber = clientNumber
        self.welcomeTime = welcomeTime
        self.delegate = delegate
    }

    /// Whether more may be written now without piling up in memory.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Hands a whole frame to the socket's queue; `flush` sends it on its way.
    func write(_ frame: ByteBuffer) { context?.write(wrapOutboundOut(frame), promise: nil) }

    /// Sends what was written.
    func flush() { context?.flush() }

    /// Sends a request; its answer finds `pending`.
    func send(_ pending: PendingRequest) {
        let correlation = nextCorrelation
        nextCorrelation += 1
        requests[correlation] = pending
        var buffer = ByteBuffer()
        buffer.writeFrame(pending.request.frameType, correlation: correlation) { buffer in
            pending.request.encodeBody(into: &buffer)
        }
        write(buffer)
        flush()
    }

    /// Closes for a reason.
    func close(_ error: FlotillaError) {
        if failure == nil { failure = error }
        guard let context else {
            report()
            return
        }
        context.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { greet(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // Of a channel that never became active the bootstrap tells, with the reason.
        if welcomeTimer != nil { report() }
    }

    /// The connection could not be made.
    func connectFailed(_ error: FlotillaError) {
        if failure == nil { failure = error }
        report()
    }

    func channelActive(context: ChannelHandlerContext) { greet(context) }

    func channelInactive(context: ChannelHandlerContext) { report() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(FlotillaError(.unreachable, "connection lost: \(error)"))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil else { return }
        frames.append(unwrapInboundIn(data))
        do {
            while failure == nil, let (header, body) = try frames.next() {
                if node == nil {
                    try receiveWelcome(header, body)
                } else {
                    try delegate?.connection(self, received: header, body: body)
                }
            }
        } catch {
            close(FlotillaError(.refused, "the other side breaks the protocol: \(error)"))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { delegate?.connectionReadComplete(self) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { delegate?.connectionBecameWritable(self) }
    }

    private func greet(_ context: ChannelHandlerContext) {
        guard welcomeTimer == nil else { return }
        welcomeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: welcomeTime) { [weak self] in
            self?.close(FlotillaError(.unreachable, "connected, but no welcome came in time"))
        }
        var buffer = ByteBuffer()
        buffer.writeFrame(.hello) { Hello(role: .client(clientNumber)).encode(into: &$0) }
        write(buffer)
        flush()
    }

    private func receiveWelcome(_ header: FrameHeader, _ body: ByteBuffer) throws(WireError) {
        var reader = WireReader(body)
        switch FrameType(rawValue: header.type) {
        case .welcome:
            guard case .server(let node) = try Hello(from: &reader).role else {
                throw WireError(.malformed, "the welcome does not come from a node")
            }
            welcomeTimer?.cancel()
            self.node = node
            frames.limit = Limits.frameBytes
            delegate?.connection(self, welcomedBy: node)
        case .error:
            close(try FlotillaError(from: &reader))
        default:
            throw WireError(.malformed, "frame type \(header.type) comes before the welcome")
        }
    }

    private func report() {
        guard !isReported else { return }
        isReported = true
        welcomeTimer?.cancel()
        delegate?.connectionClosed(self, error: failure ?? FlotillaError(.unreachable, "the connection was closed"))
    }
}
