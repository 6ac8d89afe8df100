import FlotillaConsensus
import FlotillaMachine
import FlotillaStorage
import FlotillaWire
import NIOCore

/// The way of commands from a client into the log of the leader.
extension Kernel {
    /// A `commands` frame has come from a client.
    func receiveCommands(_ body: ByteBuffer, on link: Link) throws(WireError) {
        var head = WireReader(body)
        let uid: ServerUID = try head.identifier()
        let count = Int(try head.integer(as: UInt32.self))
        _ = try head.integer(as: UInt32.self)
        guard count <= Limits.openCommandsPerConnection else {
            throw WireError(.limit, "\(count) commands in a frame, the limit is \(Limits.openCommandsPerConnection)")
        }
        let items = head.rest
        guard let server = server(uid, for: link) else {
            let error = FlotillaError(.unknownServer, "node \(identity.name) hosts no server \(uid)")
            return try refuse(items, count: count, server: uid, error, on: link)
        }
        if let refusal = refusalOfCommands(by: server, on: link, count: count, bytes: items.readableBytes) {
            server.counters.rejectedCommands += UInt64(count)
            if refusal.code == .busy { server.counters.busyRejections += UInt64(count) }
            return try refuse(items, count: count, server: uid, refusal, on: link)
        }
        // Also when an item is broken: what stands before it was taken in.
        markDirty(server)
        try take(items, count: count, for: server, from: link)
    }

    /// The server with this identity; the one that the connection spoke of last is found without a look-up.
    func server(_ uid: ServerUID, for link: Link) -> HostedServer? {
        if let last = link.lastServer, last.uid == uid, !last.isDeleted { return last }
        link.lastServer = serversByUID[uid]
        return link.lastServer
    }

    /// Why a server takes nothing that clients want in its log, whether there is room or not.
    func refusalOfEntries(by server: HostedServer) -> FlotillaError? {
        guard server.core.role == .leader else { return notLeader(server) }
        if let target = server.core.transferTarget {
            return FlotillaError(
                .transferring, "leadership is being handed over", leader: server.name(of: target))
        }
        if server.core.isRetiring {
            return FlotillaError(.transferring, "\(server.creation.id) has no vote any more and is handing over")
        }
        return server.core.endIndex == nil ? nil : isEnding(server)
    }

    func refusalOfCommands(
        by server: HostedServer, on link: Link, count: Int, bytes: Int
    ) -> FlotillaError? {
        if let refusal = refusalOfEntries(by: server) { return refusal }
        if let failure = server.failure { return halted(server, failure) }
        if isStopping { return FlotillaError(.shuttingDown, "node \(identity.name) is stopping") }
        return refusalForRoom(on: link, count: count, bytes: bytes)
    }

    private func refusalForRoom(on link: Link, count: Int, bytes: Int) -> FlotillaError? {
        if link.openCommands + count > Limits.openCommandsPerConnection {
            return FlotillaError(
                .busy, "more than \(Limits.openCommandsPerConnection) commands are open on this connection")
        }
        if link.openCommandBytes + bytes > Limits.openCommandBytesPerConnection, link.openCommands > 0 {
            return FlotillaError(
                .busy, "more than \(Limits.openCommandBytesPerConnection) bytes are open on this connection")
        }
        if memoryBytes + bytes > configuration.memoryTableBytes {
            return FlotillaError(
                .busy, "memory-table-max-bytes (\(configuration.memoryTableBytes)) is reached on \(identity.name)")
        }
        if walStatus.limitReached {
            return FlotillaError(.busy, "wal-max-total-bytes is reached on \(identity.name)")
        }
        if walStatus.diskFull {
            return FlotillaError(.busy, "the disk of the write-ahead log is full on \(identity.name)")
        }
        return nil
    }

    func notLeader(_ server: HostedServer) -> FlotillaError {
        let leader = server.name(of: server.core.leader)
        return FlotillaError(
            .notLeader, "\(server.creation.id) does not lead\(leader.map { "; \($0) does" } ?? "")", leader: leader)
    }

    func halted(_ server: HostedServer, _ failure: MachineFailure) -> FlotillaError {
        FlotillaError(.halted, "the machine of \(server.creation.id) has failed \(failure)")
    }

    // MARK: Taking commands in

    /// What was wrong with an item of a commands frame.
    private enum ItemFault {
        case truncated
        case tooLong(Int)
        case checksum
        case prefix
    }

    private func take(
        _ items: ByteBuffer, count: Int, for server: HostedServer, from link: Link
    ) throws(WireError) {
        let first = server.core.lastIndex.next
        var index = first
        var position = 0
        var fault: ItemFault?
        let time = entryTime(for: server)
        let term = server.core.term
        items.withUnsafeReadableBytes { bytes in
            while index - first < count, fault == nil {
                // As many as fit into one batch are encoded in one go, straight into the log's own buffer.
                let rest = bytes.count - position
                let more = (count - (index - first)) * (EntryHeader.byteCount - CommandBatch.itemByteCount)
                let room = max(min(rest + more, Limits.appendBytes), nextEntryLength(in: bytes, at: position))
                openBatch(of: server, at: index, reserving: min(room, Limits.appendBytes))
                encode(
                    bytes, &position, from: &index, through: first + (count - 1), room: room, term: term, time: time,
                    into: server, link: link, fault: &fault)
            }
        }
        let taken = index - first
        if taken > 0 {
            guard case .success(first) = server.core.propose(count: taken) else {
                preconditionFailure("\(server.creation.id) took \(taken) commands but does not lead")
            }
            server.counters.commands += UInt64(taken)
            server.counters.commandBytes += UInt64(position)
        }
        if let fault { throw WireError(.malformed, "command \(taken) of a frame: \(describe(fault))") }
    }

    /// How long the entry of the next item will be; 0 when the item is not there whole, whatever length it claims.
    private func nextEntryLength(in bytes: UnsafeRawBufferPointer, at position: Int) -> Int {
        let rest = bytes.count - position - CommandBatch.itemByteCount
        guard rest >= 0, let base = bytes.baseAddress else { return 0 }
        let length = Int(UInt32(littleEndian: (base + position).loadUnaligned(as: UInt32.self)))
        return length <= rest ? EntryHeader.byteCount + length : 0
    }

    private func encode(
        _ bytes: UnsafeRawBufferPointer, _ position: inout Int, from index: inout LogIndex, through last: LogIndex,
        room: Int, term: Term, time: UInt64, into server: HostedServer, link: Link, fault: inout ItemFault?
    ) {
        var taken = 0
        var next = position
        let start = index
        var found: ItemFault?
        let limit = configuration.commandBytes
        server.open.bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { output in
            guard let source = bytes.baseAddress, let target = output.baseAddress else { return 0 }
            var used = 0
            while start + taken <= last {
                guard bytes.count - next >= CommandBatch.itemByteCount else {
                    found = .truncated
                    break
                }
                let item = source + next
                let length = Int(UInt32(littleEndian: item.loadUnaligned(as: UInt32.self)))
                guard length <= limit else {
                    found = .tooLong(length)
                    break
                }
                guard bytes.count - next - CommandBatch.itemByteCount >= length else {
                    found = .truncated
                    break
                }
                let entryLength = EntryHeader.byteCount + length
                if used + entryLength > room { break }
                let body = UnsafeRawBufferPointer(start: item + CommandBatch.itemByteCount, count: length)
                let checksum = UInt32(littleEndian: item.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
                guard Checksum.crc32c(body) == checksum else {
                    found = .checksum
                    break
                }
                guard CommandPrefix.length(in: body) != nil,
                    body[0] == ReplyMode.leader.rawValue || body[0] == ReplyMode.none.rawValue,
                    body[1] & 1 == 0 || CommandPrefix.session(in: body)?.isInOrder == true
                else {
                    found = .prefix
                    break
                }
                let place = start + taken
                EntryHeader(
                    kind: .command, bodyLength: UInt32(truncatingIfNeeded: length), index: place, term: term,
                    time: time, bodyChecksum: checksum
                ).store(to: target + used)
                UnsafeMutableRawBufferPointer(start: target + used + EntryHeader.byteCount, count: length)
                    .copyMemory(from: body)
                if body[0] == ReplyMode.leader.rawValue {
                    server.pending.append(
                        place, link: link.id,
                        correlation: UInt64(
                            littleEndian: item.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                        bytes: length)
                    link.openCommands += 1
                    link.openCommandBytes += length
                }
                used += entryLength
                next += CommandBatch.itemByteCount + length
                taken += 1
            }
            return used
        }
        server.open.count += taken
        server.open.lastTerm = term
        index = start + taken
        position = next
        fault = found
    }

    private func describe(_ fault: ItemFault) -> String {
        switch fault {
        case .truncated: "it is longer than the frame"
        case .tooLong(let length): "\(length) bytes, the limit is \(configuration.commandBytes)"
        case .checksum: "its checksum does not match"
        case .prefix: "its prefix is not one that this node serves"
        }
    }

    /// Refuses all commands of a frame; nothing of it was appended.
    private func refuse(
        _ items: ByteBuffer, count: Int, server: ServerUID, _ error: FlotillaError, on link: Link
    ) throws(WireError) {
        var reader = WireReader(items)
        var correlations: [UInt64] = []
        for _ in 0..<count {
            let length = Int(try reader.integer(as: UInt32.self))
            _ = try reader.integer(as: UInt32.self)
            correlations.append(try reader.integer())
            _ = try reader.slice(length)
        }
        reject(correlations, server: server, error, on: link)
    }

    /// Sends a rejection of some commands or queries.
    func reject(_ correlations: [UInt64], server: ServerUID, _ error: FlotillaError, on link: Link) {
        guard !correlations.isEmpty else { return }
        let rejections = Rejections(server: server, error: error, correlations: correlations)
        link.write { $0.writeFrame(.rejections) { rejections.encode(into: &$0) } }
        markDirty(link)
    }

    /// Rejects commands that were appended here and are now known never to be applied.
    func reject(_ waiters: [PendingReplies.Waiter], by server: HostedServer, _ error: FlotillaError) {
        for waiter in waiters {
            guard let link = links[waiter.link] else { continue }
            link.openCommands -= 1
            link.openCommandBytes -= waiter.bytes
            reject([waiter.correlation], server: server.uid, error, on: link)
        }
    }
}
