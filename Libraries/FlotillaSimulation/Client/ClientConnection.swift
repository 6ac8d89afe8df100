import FlotillaWire
import NIOCore

/// Whoever uses connections to nodes.
package protocol ClientConnectionOwner: AnyObject {
    /// A whole frame has come.
    func received(_ type: FrameType, correlation: UInt64, body: ByteBuffer, on connection: ClientConnection)
    /// The connection could not be made or is gone.
    func ended(_ connection: ClientConnection)
}

/// A client's connection to one node: dialled, introduced by a hello, and then a way for frames.
package final class ClientConnection: Party {
    package let node: Int
    private unowned let world: World
    private unowned let owner: any ClientConnectionOwner
    private var end: ConnectionEnd?
    /// Whether the node has said welcome; before that nothing but a hello was sent.
    package private(set) var isReady = false
    package private(set) var isOver = false
    package var isGone: Bool { isOver }
    private var arrived = ByteBuffer()
    private var waiting = ByteBuffer()

    package init(from host: Int, to node: Int, owner: any ClientConnectionOwner, world: World) {
        self.node = node
        self.owner = owner
        self.world = world
        world.network.dial(from: host, to: node, as: self) { [self] end in dialled(end) }
    }

    private func dialled(_ end: ConnectionEnd?) {
        guard !isOver else { return }
        guard let end else { return over() }
        self.end = end
        var hello = ByteBuffer()
        hello.writeFrame(.hello) { Hello(role: .client(1)).encode(into: &$0) }
        world.network.send(hello, from: end)
    }

    /// Sends frames, once the node has said welcome.
    package func send(_ write: (inout ByteBuffer) -> Void) {
        guard !isOver else { return }
        write(&waiting)
        sendWaiting()
    }

    private func sendWaiting() {
        guard isReady, let end else { return }
        let bytes = waiting
        waiting = ByteBuffer()
        world.network.send(bytes, from: end)
    }

    package func close() {
        guard !isOver else { return }
        isOver = true
        if let end { world.network.close(end) }
    }

    private func over() {
        guard !isOver else { return }
        isOver = true
        owner.ended(self)
    }

    package func received(_ bytes: ByteBuffer, on end: ConnectionEnd) {
        arrived.writeImmutableBuffer(bytes)
        while !isOver, let frame = FrameChaos.nextFrame(of: &arrived) {
            let correlation: UInt64 = frame.bytes.getInteger(at: frame.bytes.readerIndex + 8, endianness: .little) ?? 0
            let start = frame.bytes.readerIndex + FrameHeader.byteCount
            guard let type = FrameType(rawValue: frame.type),
                let body = frame.bytes.getSlice(at: start, length: frame.bytes.readableBytes - FrameHeader.byteCount)
            else { return world.fail(.client, "a client was sent a frame of type \(frame.type)") }
            if type == .welcome {
                isReady = true
                sendWaiting()
            } else {
                owner.received(type, correlation: correlation, body: body, on: self)
            }
        }
    }

    package func closed(_ end: ConnectionEnd, reason: String) { over() }
}
