import FlotillaKernel
import FlotillaWire
import NIOCore

/// Between the kernel's links and the connections of the simulated network.
extension NodeProcess {
    func accept(_ end: ConnectionEnd) -> (any Party)? {
        guard isServing else { return nil }
        computer.whenAwake(self) { [self] in
            guard isServing, let kernel else { return }
            tellTime()
            join(end, to: kernel.accepted())
        }
        return self
    }

    func connect(_ dial: Kernel.Dial) {
        guard let target = world.computers.first(where: { $0.address == dial.address }) else { return }
        world.network.dial(from: computer.number, to: target.number, as: self) { [self] end in
            world.trace.add(
                world.scheduler.now, .dialled, UInt64(computer.number), UInt64(target.number), end == nil ? 0 : 1)
            computer.whenAwake(self) { self.dialled(dial, end) }
        }
    }

    private func dialled(_ dial: Kernel.Dial, _ end: ConnectionEnd?) {
        guard isServing, let kernel else { return }
        tellTime()
        if let end {
            join(end, to: kernel.connected(dial))
        } else {
            kernel.connectFailed(dial)
        }
        touched()
    }

    private func join(_ end: ConnectionEnd, to link: Link) {
        connections[link.id] = end
        links[end.key] = link
        touched()
    }

    package func received(_ bytes: ByteBuffer, on end: ConnectionEnd) {
        computer.whenAwake(self) { [self] in take(bytes, on: end) }
    }

    private func take(_ bytes: ByteBuffer, on end: ConnectionEnd) {
        let key = end.key
        guard isServing, let kernel, let link = links[key] else { return }
        world.noteDelivery(bytes, from: end.peerHost ?? 0, to: computer.number)
        tellTime()
        var buffer = bytes
        if var before = unfinished.removeValue(forKey: key) {
            before.writeImmutableBuffer(bytes)
            buffer = before
        }
        do {
            try kernel.receive(&buffer, on: link.id)
            if buffer.readableBytes > 0 { unfinished[key] = buffer }
        } catch {
            refuse(error, on: end, link)
        }
        touched()
    }

    /// What came is not the protocol. In a world where nothing alters bytes on their way, that is a mistake.
    private func refuse(_ error: WireError, on end: ConnectionEnd, _ link: Link) {
        world.fail(.kernel, "node \(computer.name) is sent what it can't read: \(error)")
        world.network.close(end)
        forget(end)
        kernel?.closed(link.id, reason: error.description)
    }

    package func closed(_ end: ConnectionEnd, reason: String) {
        computer.whenAwake(self) { [self] in
            guard let link = links[end.key] else { return }
            world.trace.add(
                world.scheduler.now, .connectionClosed, UInt64(computer.number), UInt64(end.peerHost ?? 0))
            forget(end)
            guard isServing, let kernel else { return }
            tellTime()
            kernel.closed(link.id, reason: reason)
            touched()
        }
    }

    private func forget(_ end: ConnectionEnd) {
        if let link = links.removeValue(forKey: end.key) { connections[link.id] = nil }
        unfinished[end.key] = nil
    }

    /// Sends everything that a link has.
    func flush(_ link: Link) {
        guard let end = connections[link.id] else { return link.drain { _ in } }
        var bytes = ByteBuffer()
        link.drain { if bytes.readableBytes == 0 { bytes = $0 } else { bytes.writeImmutableBuffer($0) } }
        world.network.send(bytes, from: end)
        if link.closesAfterFlush {
            world.network.close(end)
            forget(end)
            let id = link.id
            // The kernel hears of it in a later turn, as from a socket.
            world.scheduler.after(0) { [self] in
                computer.whenAwake(self) { [self] in
                    guard isServing, let kernel else { return }
                    tellTime()
                    kernel.closed(id, reason: "closed")
                    touched()
                }
            }
        }
    }
}
