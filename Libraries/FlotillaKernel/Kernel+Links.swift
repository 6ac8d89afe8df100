import FlotillaConsensus
import FlotillaStorage
import FlotillaWire
import NIOCore

/// Connections: who is at the other end, and what arrives.
extension Kernel {
    /// Another process has connected to this node.
    public func accepted() -> Link { links.add(.stranger(dialled: nil), now: now) }

    /// A connection that `output.dials` asked for stands.
    public func connected(_ dial: Dial) -> Link {
        guard let peer = peers.first(where: { $0.dial == dial.number }) else {
            let link = links.add(.refused, now: now)
            link.closesAfterFlush = true
            markDirty(link)
            return link
        }
        let link = links.add(.stranger(dialled: peer), now: now)
        let hello = Hello(role: .peer(identity, .log))
        link.write { $0.writeFrame(.hello) { hello.encode(into: &$0) } }
        markDirty(link)
        return link
    }

    /// A connection that `output.dials` asked for could not be made.
    public func connectFailed(_ dial: Dial) {
        if let peer = peers.first(where: { $0.dial == dial.number }) { dialEnded(peer, failed: true) }
    }

    /// A connection is gone.
    public func closed(_ id: LinkID, reason: String) {
        guard let link = links.remove(id) else { return }
        switch link.role {
        case .stranger(let dialled?): dialEnded(dialled, failed: true)
        case .peer(let peer): lost(link, of: peer, reason: reason)
        case .stranger(nil), .client, .refused: break
        }
    }

    /// Takes the whole frames at the start of `buffer`; what is left is the beginning of a frame.
    ///
    /// - Throws: `WireError` when what arrives is not the protocol; the connection must then be closed, after what
    ///   the link has to send.
    public func receive(_ buffer: inout ByteBuffer, on id: LinkID) throws(WireError) {
        guard let link = links[id] else { return buffer.clear() }
        while true {
            let limit = isStranger(link) ? Limits.frameBytesBeforeHello : Limits.frameBytes
            let header = try frameHeader(of: buffer, limit: limit)
            guard let header, buffer.readableBytes >= header.frameLength else { return }
            guard
                let body = buffer.getSlice(
                    at: buffer.readerIndex + FrameHeader.byteCount, length: header.bodyLength)
            else { return }
            buffer.moveReaderIndex(forwardBy: header.frameLength)
            counters.framesReceived += 1
            do { try receive(header, body, on: link) } catch {
                counters.brokenFrames += 1
                throw error
            }
        }
    }

    private func frameHeader(of buffer: ByteBuffer, limit: Int) throws(WireError) -> FrameHeader? {
        let result = buffer.withUnsafeReadableBytes { bytes in
            Result<FrameHeader?, WireError> { () throws(WireError) in
                try FrameHeader.load(from: bytes, limit: limit)
            }
        }
        return try result.get()
    }

    /// Closes connections on which nobody has said who they are.
    func watchStrangers() {
        for link in links.all where isStranger(link) && link.opened + configuration.helloPatience <= now {
            refuse(link, FlotillaError(.refused, "no hello in time"), tells: true)
        }
    }

    private func isStranger(_ link: Link) -> Bool { if case .stranger = link.role { true } else { false } }

    /// How long the frame at the start of `buffer` is, as far as its head has arrived; for whoever reserves memory.
    public static func expectedLength(of buffer: ByteBuffer) -> Int? {
        guard let length: UInt32 = buffer.getInteger(at: buffer.readerIndex, endianness: .little) else { return nil }
        return min(Int(length), Limits.frameBytes) + 4
    }

    private func receive(_ header: FrameHeader, _ body: ByteBuffer, on link: Link) throws(WireError) {
        switch link.role {
        case .stranger(let dialled): try greet(header, body, on: link, dialled: dialled)
        case .peer(let peer): try receive(header, body, from: peer, on: link)
        case .client: try receiveFromClient(header, body, on: link)
        case .refused: break
        }
    }

    // MARK: Hello

    private func greet(
        _ header: FrameHeader, _ body: ByteBuffer, on link: Link, dialled: Peer?
    ) throws(WireError) {
        var reader = WireReader(body)
        if dialled != nil, header.type == FrameType.error.rawValue {
            let error = try FlotillaError(from: &reader)
            return refuse(link, FlotillaError(.refused, "refused by the other side: \(error)"), tells: false)
        }
        guard header.type == (dialled == nil ? FrameType.hello : FrameType.welcome).rawValue else {
            throw WireError(.malformed, "frame of type \(header.type) before hello")
        }
        let hello: Hello
        do { hello = try Hello(from: &reader) } catch {
            return refuse(link, FlotillaError(.refused, error.description), tells: true)
        }
        switch hello.role {
        case .client where dialled == nil:
            link.role = .client
            welcome(link, .server(identity), correlation: header.correlation)
        case .peer(let node, .log):
            if let refusal = refusal(of: node) { return refuse(link, refusal, tells: true) }
            if dialled == nil { welcome(link, .peer(identity, .log), correlation: header.correlation) }
            introduce(node, on: link, dialled: dialled)
        case .peer(_, .bulk), .client, .server:
            refuse(link, FlotillaError(.unsupported, "a hello in this role is not served here"), tells: true)
        }
    }

    private func welcome(_ link: Link, _ role: Hello.Role, correlation: UInt64) {
        let hello = Hello(role: role)
        link.write { $0.writeFrame(.welcome, correlation: correlation) { hello.encode(into: &$0) } }
        markDirty(link)
    }

    /// Ends a connection that breaks a rule, with the reason.
    private func refuse(_ link: Link, _ error: FlotillaError, tells: Bool) {
        counters.refusedConnections += 1
        output.events.append(.peerRefused(reason: error.message))
        if case .stranger(let dialled?) = link.role { dialEnded(dialled, failed: true) }
        link.role = .refused
        if tells { link.write { $0.writeFrame(.error) { error.encode(into: &$0) } } }
        link.closesAfterFlush = true
        markDirty(link)
    }

    // MARK: Frames

    private func receive(
        _ header: FrameHeader, _ body: ByteBuffer, from peer: Peer, on link: Link
    ) throws(WireError) {
        peer.counters.framesReceived += 1
        guard let type = FrameType(rawValue: header.type) else {
            counters.unknownFrames += 1
            return
        }
        heard(from: peer, by: type)
        if type.isConsensus {
            // Who is down is told so when its link goes; a leader that was heard in spite of it would be believed for
            // ever. Whatever it sends is sent again once both sides are up.
            guard peer.isUp else { return }
            return try receiveConsensus(type, body: body, from: peer)
        }
        guard let message = try PeerMessage.decode(type, body: body) else {
            counters.unknownFrames += 1
            return
        }
        receive(message, correlation: header.correlation, from: peer, on: link)
    }

    private func receiveFromClient(_ header: FrameHeader, _ body: ByteBuffer, on link: Link) throws(WireError) {
        guard let type = FrameType(rawValue: header.type) else {
            counters.unknownFrames += 1
            let error = FlotillaError(.unsupported, "frames of type \(header.type) are not known here")
            return respond(.error(error), to: link, correlation: header.correlation)
        }
        switch type {
        case .commands: try receiveCommands(body, on: link)
        case .queries: try receiveQueries(body, on: link)
        default:
            guard let request = try ClientRequest.decode(type, body: body) else {
                counters.unknownFrames += 1
                let error = FlotillaError(.unsupported, "a client may not send frames of type \(type)")
                return respond(.error(error), to: link, correlation: header.correlation)
            }
            receive(request, correlation: header.correlation, on: link)
        }
    }

    /// Answers a request of a client.
    func respond(_ response: ClientResponse, to link: Link, correlation: UInt64) {
        link.write { $0.writeFrame(response.frameType, correlation: correlation) { response.encodeBody(into: &$0) } }
        markDirty(link)
    }

    /// Answers a request that waited, if its client is still there.
    func respond(_ response: ClientResponse, to ticket: RequestTicket) {
        guard let link = links[ticket.link] else { return }
        respond(response, to: link, correlation: ticket.correlation)
    }
}
