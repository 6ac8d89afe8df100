import FlotillaKernel
import FlotillaWire
import NIOCore

/// One connection: hands what arrives to the kernel and sends what the kernel has for it. Everything happens on the
/// node's event loop, without a hop.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let runtime: NodeRuntime
    private let dial: Kernel.Dial?
    private var link: Link?
    private var context: ChannelHandlerContext?
    /// The beginning of a frame that has not arrived whole.
    private var unfinished: ByteBuffer?
    private var closeReason = "the other side closed the connection"

    init(runtime: NodeRuntime, dial: Kernel.Dial?) {
        self.runtime = runtime
        self.dial = dial
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        link = runtime.opened(self, dial: dial)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let link else { return }
        var buffer = take(unwrapInboundIn(data))
        do {
            try runtime.received(&buffer, on: link)
            keep(buffer)
        } catch {
            fail(error, context: context)
        }
    }

    /// What has arrived so far, the new bytes included. Only a frame that came in parts is copied.
    private func take(_ arrived: ByteBuffer) -> ByteBuffer {
        guard var buffer = unfinished else { return arrived }
        unfinished = nil
        buffer.writeImmutableBuffer(arrived)
        return buffer
    }

    private func keep(_ rest: ByteBuffer) {
        guard rest.readableBytes > 0 else { return }
        // A long frame comes in many parts: its whole length is reserved once. The kernel has checked the length.
        let expected = Kernel.expectedLength(of: rest) ?? rest.readableBytes
        var kept = ByteBufferAllocator().buffer(capacity: max(expected, rest.readableBytes))
        if expected > rest.capacity {
            kept.writeImmutableBuffer(rest)
            unfinished = kept
        } else {
            unfinished = rest
        }
    }

    /// Ends a connection on which something came that is not the protocol, and says so.
    private func fail(_ error: WireError, context: ChannelHandlerContext) {
        closeReason = error.description
        var buffer = context.channel.allocator.buffer(capacity: 256)
        let answer = FlotillaError(.refused, error.description)
        buffer.writeFrame(.error) { answer.encode(into: &$0) }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        context.close(promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        runtime.touched()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        if let link { runtime.closed(link, reason: closeReason) }
        link = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeReason = "\(error)"
        context.close(promise: nil)
    }

    /// A client that does not read what it asked for is not read from either, so that nothing piles up here.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if link?.isFromClient == true {
            // It can only fail on a channel that is closing, which then is told so anyway.
            try? context.channel.syncOptions?.setOption(.autoRead, value: context.channel.isWritable)
        }
        context.fireChannelWritabilityChanged()
    }

    /// Sends everything that the link has.
    func flush(_ link: Link) {
        guard let context else { return link.drain { _ in } }
        link.drain { context.write(wrapOutboundOut($0), promise: nil) }
        context.flush()
        if link.closesAfterFlush { close() }
    }

    func close() {
        // A promise that is fulfilled after the last write: closing at once would cut it off.
        context?.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: nil)
        context?.close(promise: nil)
    }
}
